#include <pybind11/stl.h>

#include <lts/archive.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "arrays.hpp"

namespace py = pybind11;
using namespace lts::python;

namespace {

/// The archive, the next default id, and a lock, because inserting releases the GIL.
class PyArchive {
  /// The GIL is never taken while the lock is held.
  template <class Function>
  auto locked(const Function& function) const {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    return function();
  }

 public:
  /// n_objectives, the next id, points and ids; inserting them in this order recreates the archive.
  using State = std::tuple<std::size_t, std::uint64_t, std::vector<double>, std::vector<std::uint64_t>>;

  explicit PyArchive(const Int& n_objectives) : archive_(to_uint64(n_objectives, "n_objectives")) {}
  explicit PyArchive(const State& state) : archive_(std::get<0>(state)), next_id_(std::get<1>(state)) {
    archive_.insert_all(std::get<2>(state), std::get<3>(state));
  }

  std::size_t insert(const ArrayLike& argument, const OptionalArrayLike& ids_argument) {
    const Doubles points = to_point_or_points(argument, n_objectives());
    const std::size_t n = static_cast<std::size_t>(points.size()) / n_objectives();
    std::vector<std::uint64_t> ids;
    if (!ids_argument.is_none()) ids = to_ids(ids_argument, n);
    return locked([&] {
      for (std::size_t i = ids.size(); i < n; ++i) ids.push_back(next_id_ + i);
      const std::size_t n_stayed = archive_.insert_all(span_of(points), ids);
      next_id_ += n;
      return n_stayed;
    });
  }

  bool covers(const ArrayLike& argument) const {
    const Doubles point = to_point(argument, "point", n_objectives());
    return locked([&] { return archive_.covers(span_of(point)); });
  }

  void clear() {
    locked([this] {
      archive_.clear();
      next_id_ = 0;
    });
  }

  py::array_t<double> points() const {
    const auto copy = locked([this] { return std::vector(archive_.points().begin(), archive_.points().end()); });
    return py::array_t<double>({copy.size() / n_objectives(), n_objectives()}, copy.data());
  }

  py::array_t<std::uint64_t> ids() const {
    const auto copy = locked([this] { return std::vector(archive_.ids().begin(), archive_.ids().end()); });
    return py::array_t<std::uint64_t>(static_cast<py::ssize_t>(copy.size()), copy.data());
  }

  std::size_t size() const {
    return locked([this] { return archive_.size(); });
  }

  State state() const {
    return locked([this] {
      return State(archive_.n_objectives(), next_id_, {archive_.points().begin(), archive_.points().end()},
                   {archive_.ids().begin(), archive_.ids().end()});
    });
  }

  std::size_t n_objectives() const noexcept { return archive_.n_objectives(); }

 private:
  lts::ParetoArchive archive_;
  std::uint64_t next_id_ = 0;
  mutable std::mutex mutex_;
};

}  // namespace

void register_archive(py::module_& m);  // called by register_pareto

void register_archive(py::module_& m) {
  py::class_<PyArchive>(m, "ParetoArchive", R"(The non-dominated points seen so far, all objectives minimized.

Among equal points the first stays. Members are in the order of insertion. Safe to use from several threads.

Parameters
----------
n_objectives : int
    Number of coordinates of a point, at least 1.

Raises
------
ValueError
    When n_objectives is less than 1.

Examples
--------
>>> import lts
>>> archive = lts.ParetoArchive(2)
>>> archive.insert([[3, 1], [1, 3], [2, 2], [3, 3]])
3
>>> archive.ids.tolist()
[0, 1, 2])")
      .def(py::init<const Int&>(), py::arg("n_objectives"))
      .def("insert", &PyArchive::insert, py::arg("points"), py::arg("ids") = py::none(),
           R"(Insert points in order and return how many of them are members in the end.

Parameters
----------
points : array_like, shape (n, n_objectives) or (n_objectives,)
    Infinities are allowed.
ids : array_like of int, shape (n,), optional
    Ids of the points, at least 0; by default, points are numbered in the order of insertion, from 0.

Returns
-------
int

Raises
------
ValueError
    For a wrong shape or a value that is not a number; then nothing is inserted.

Notes
-----
O(m size) per point at worst; a point that a recent dominator dominates takes O(m).)")
      .def("covers", &PyArchive::covers, py::arg("point"),
           "Whether a member dominates or equals the point, shape (n_objectives,); ValueError as for `insert`.")
      .def("clear", &PyArchive::clear, "Remove all members and count default ids from 0 again.")
      .def_property_readonly("points", &PyArchive::points, "Copy of the members, shape (len, n_objectives).")
      .def_property_readonly("ids", &PyArchive::ids, "Copy of the members' ids, shape (len,).")
      .def_property_readonly("n_objectives", &PyArchive::n_objectives, "Number of coordinates of a point.")
      .def("__len__", &PyArchive::size)
      .def(py::pickle([](const PyArchive& a) { return a.state(); },
                      [](const PyArchive::State& state) { return std::make_unique<PyArchive>(state); }))
      .def("__repr__", [](const PyArchive& a) {
        return "<ParetoArchive of " + std::to_string(a.n_objectives()) + " objectives: " + std::to_string(a.size()) +
               " members>";
      });
}
