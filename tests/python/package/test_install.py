"""What an installation is, and that programs of others find it and use it: by find_package, pkg-config,
add_subdirectory and FetchContent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from embedding import HOST, ROOT, build, command, configure, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VERSION = "0.1.0"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation, moved after it was made."""
    at = tmp_path_factory.mktemp("prefix")
    command("cmake", "--install", build(HOST, "lts", "lts_c"), "--prefix", at / "made")
    return (at / "made").rename(at / "moved")


def files_of(prefix: Path) -> set[str]:
    return {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if not path.is_dir()}


def test_what_is_installed(prefix: Path) -> None:
    headers = {f"include/lts/{p.relative_to(ROOT / 'cpp/include/lts')}" for p in ROOT.glob("cpp/include/lts/**/*.h*")}
    files = files_of(prefix)
    assert headers <= files
    others = {re.sub(r"^lib(64)?/(?:[^/]+-linux-gnu/)?", "LIB/", file) for file in files - headers}
    assert others == {
        "LIB/liblts.a",
        "LIB/liblts.so",
        "LIB/liblts.so.0.1",
        f"LIB/liblts.so.{VERSION}",
        "LIB/cmake/lts/lts-config.cmake",
        "LIB/cmake/lts/lts-config-version.cmake",
        "LIB/cmake/lts/lts-targets.cmake",
        "LIB/cmake/lts/lts-targets-release.cmake",
        "LIB/pkgconfig/lts.pc",
        "LIB/pkgconfig/lts-cpp.pc",
        "share/licenses/lts/LICENSE",
        "share/licenses/lts/LICENSE.MIT",
    }


def test_nothing_installed_says_where_it_was_made(prefix: Path) -> None:
    for file in files_of(prefix):
        path = prefix / file
        if path.suffix in {".cmake", ".pc", ".h", ".hpp"}:
            assert str(ROOT) not in path.read_text(encoding="utf-8"), file


@pytest.mark.parametrize("name", ["embed_c", "embed_cpp"])
def test_find_package(name: str, prefix: Path, tmp_path: Path) -> None:
    command("cmake", "-S", ROOT / "examples" / name, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    command("cmake", "--build", tmp_path)
    assert len(command(tmp_path / name, "--trials", "50").splitlines()) > 1


def test_programs_in_c_find_both_libraries(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER.format(bring="find_package(lts REQUIRED)", root=ROOT))
    command("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    command("cmake", "--build", tmp_path / "build")
    shared, static = (command(tmp_path / "build" / name, "--trials", "50") for name in ("in_c", "in_c_static"))
    assert shared == static


def test_the_c_interface_asks_for_no_standard_of_cpp(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "old.cpp").write_text("#include <lts/lts.h>\nint main() { return __cplusplus != 201103L; }\n")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES CXX)\nset(CMAKE_CXX_STANDARD 11)\n"
        "find_package(lts REQUIRED)\nadd_executable(old old.cpp)\ntarget_link_libraries(old PRIVATE lts::c)\n"
    )
    command("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    command("cmake", "--build", tmp_path / "build")
    command(tmp_path / "build/old")


@pytest.mark.parametrize(("wanted", "found"), [("0.1", True), ("0.1.0", True), ("0.2", False), ("1.0", False)])
def test_versions_that_find_package_takes(wanted: str, found: bool, prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES CXX)\nfind_package(lts {wanted} REQUIRED)\n"
    )
    words = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == found, done.stderr


@pytest.mark.parametrize(
    ("package", "compiler", "example"), [("lts", "gcc", "embed_c"), ("lts-cpp", "g++", "embed_cpp")]
)
def test_pkg_config(package: str, compiler: str, example: str, prefix: Path, tmp_path: Path) -> None:
    need("pkg-config", compiler, packages=f"pkg-config {compiler}")
    (folder,) = (path.parent for path in prefix.rglob("lts.pc"))
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    flags = command("pkg-config", "--cflags", "--libs", package, env=environment).split()
    assert command("pkg-config", "--modversion", package, env=environment).strip() == VERSION
    (source,) = (ROOT / "examples" / example).glob("main.c*")
    standard = "-std=gnu11" if compiler == "gcc" else "-std=c++20"
    command(compiler, standard, source, "-o", tmp_path / "program", *flags, f"-Wl,-rpath,{folder.parent}")
    assert command(tmp_path / "program", "--trials", "50")


@pytest.mark.parametrize(
    ("libdir", "prefix_is"), [("lib", "below"), ("lib/x/y", "below"), ("/elsewhere/lib64", "elsewhere")]
)
def test_pkg_config_says_where_the_folders_are(libdir: str, prefix_is: str, tmp_path: Path) -> None:
    need("pkg-config", packages="pkg-config")
    options = ["-DLTS_BUILD_TESTS=OFF", "-DLTS_BUILD_RUNNER=OFF", "-DCMAKE_INSTALL_PREFIX=/opt/lts"]
    command("cmake", "-S", ROOT, "-B", tmp_path / "build", *options, f"-DCMAKE_INSTALL_LIBDIR={libdir}")
    at = tmp_path / "moved" / libdir / "pkgconfig" if prefix_is == "below" else tmp_path / "pkgconfig"
    at.mkdir(parents=True)
    shutil.copy(tmp_path / "build" / "lts.pc", at)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(at)}
    folders = [command("pkg-config", f"--variable={name}", "lts", env=environment).strip() for name in FOLDERS]
    expected = [tmp_path / "moved" / libdir, tmp_path / "moved" / "include"]
    if prefix_is != "below":
        expected = [Path(libdir), Path("/opt/lts/include")]
    assert [os.path.normpath(folder) for folder in folders] == [str(folder) for folder in expected]


FOLDERS = ("libdir", "includedir")
CONSUMER = """cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
enable_testing()
{bring}
add_executable(in_c {root}/examples/embed_c/main.c)
target_compile_definitions(in_c PRIVATE _POSIX_C_SOURCE=200809L)
target_link_libraries(in_c PRIVATE lts::c)
add_executable(in_c_static {root}/examples/embed_c/main.c)
target_compile_definitions(in_c_static PRIVATE _POSIX_C_SOURCE=200809L)
target_link_libraries(in_c_static PRIVATE lts::c_static)
"""
BRING = {
    "add_subdirectory": "add_subdirectory({root} lts)",
    "FetchContent": """include(FetchContent)
FetchContent_Declare(lts SOURCE_DIR {root})
FetchContent_MakeAvailable(lts)""",
}


@pytest.mark.parametrize("way", BRING)
def test_as_a_part_of_another_project(way: str, tmp_path: Path) -> None:
    need("cmake", "ninja", packages="cmake ninja-build")
    text = CONSUMER.format(bring=BRING[way].format(root=ROOT), root=ROOT)
    (tmp_path / "CMakeLists.txt").write_text(text, encoding="utf-8")
    folder = tmp_path / "build"
    configure(tmp_path, folder)
    targets = set(
        re.findall(
            r"^(?!cmake_object)(\w[\w-]*): phony", command("ninja", "-C", folder, "-t", "targets", "all"), re.MULTILINE
        )
    )
    ours = {t for t in targets if "lts" in t or "test" in t or "bench" in t or "probe" in t}
    assert ours <= {"lts", "lts_c", "lts_c_static", "lts_core", "test"}, "no developer's targets"
    assert "Total Tests: 0" in command("ctest", "--test-dir", folder, "-N")
    if way == "add_subdirectory":  # the other one would compile the same
        command("cmake", "--build", folder)
        assert command(folder / "in_c", "--trials", "50") == command(folder / "in_c_static", "--trials", "50")
        command("cmake", "--install", folder, "--prefix", tmp_path / "installed")
        assert not (tmp_path / "installed").exists(), "what a consumer installs is its own affair"


@pytest.mark.parametrize(
    ("compiler", "options"),
    [
        ("gcc", ["-std=c11"]),
        ("gcc", ["-std=c17", "-fno-exceptions"]),
        ("g++", ["-x", "c++", "-std=c++11", "-fno-exceptions", "-fno-rtti"]),
        ("g++", ["-x", "c++", "-std=c++20"]),
        ("clang", ["-std=c11", "-Weverything", "-Wno-padded", "-Wno-declaration-after-statement"]),
    ],
    ids=["c11", "c17", "c++11, bare", "c++20", "clang"],
)
def test_the_header_stands_alone(compiler: str, options: list[str], tmp_path: Path) -> None:
    if compiler == "clang" and shutil.which("clang") is None:
        compiler = next((f"clang-{v}" for v in range(30, 10, -1) if shutil.which(f"clang-{v}")), "clang")
    need(compiler, packages=compiler)
    source = tmp_path / "alone.c"
    source.write_text("#include <lts/lts.h>\n#include <lts/lts.h>\nint main(void) { return lts_version()[0] == 0; }\n")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command(compiler, *options, *warnings, f"-I{ROOT / 'cpp/include'}", "-c", source, "-o", tmp_path / "alone.o")


def test_cpp_headers_without_exceptions_and_rtti(tmp_path: Path) -> None:
    need("g++", packages="g++")
    source = tmp_path / "bare.cpp"
    source.write_text("#include <lts/lts.hpp>\nint main() { return lts::families().empty(); }\n")
    options = ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cpp/include'}"]
    library = build(HOST, "lts") / "liblts.a"
    command("g++", *options, source, library, "-o", tmp_path / "bare")
    command(tmp_path / "bare")
