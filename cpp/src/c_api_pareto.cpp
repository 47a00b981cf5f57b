#include <algorithm>
#include <span>
#include <string>

#include "c_api.hpp"
#include "lts/hypervolume.hpp"
#include "lts/sort.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace

namespace {

std::span<const double> rows(const double* points, std::size_t n_points, std::size_t n_objectives) {
  const std::size_t size = array_size(n_points, n_objectives, "points");
  return {required_array(points, size, "points"), size};
}

std::span<const double> one_row(const double* numbers, std::size_t n_objectives, const char* name) {
  return {required_array(numbers, n_objectives, name), n_objectives};
}

}  // namespace

lts_status lts_archive_create(size_t n_objectives, lts_archive** out) noexcept {
  return guarded_out(__func__, out, [&] { give(out, lts::ParetoArchive(n_objectives)); });
}

lts_status lts_archive_destroy(lts_archive* archive) noexcept { return destroy(__func__, archive); }

lts_status lts_archive_insert(lts_archive* archive, const double* point, size_t n_objectives, uint64_t id,
                              int* stayed) noexcept {
  return guarded(__func__, [&] {
    const Borrowed<lts_archive> borrowed(archive, "archive");
    const bool in = borrowed->insert(one_row(point, n_objectives, "point"), id);
    if (stayed != nullptr) *stayed = in ? 1 : 0;
  });
}

lts_status lts_archive_covers(const lts_archive* archive, const double* point, size_t n_objectives,
                              int* covers) noexcept {
  return guarded(__func__, [&] {
    required(covers, "covers");
    const Borrowed<const lts_archive> borrowed(archive, "archive");
    *covers = borrowed->covers(one_row(point, n_objectives, "point")) ? 1 : 0;
  });
}

lts_status lts_archive_size(const lts_archive* archive, size_t* size) noexcept {
  return guarded(__func__, [&] {
    required(size, "size");
    *size = Borrowed<const lts_archive>(archive, "archive")->size();
  });
}

lts_status lts_archive_members(const lts_archive* archive, double* points, uint64_t* ids, size_t size) noexcept {
  return guarded(__func__, [&] {
    const Borrowed<const lts_archive> borrowed(archive, "archive");
    if (size != borrowed->size()) {
      fail(LTS_INVALID_ARGUMENT,
           {"size is ", std::to_string(size), "; the archive has ", std::to_string(borrowed->size()), " members"});
    }
    if (points != nullptr) std::copy(borrowed->points().begin(), borrowed->points().end(), points);
    if (ids != nullptr) std::copy(borrowed->ids().begin(), borrowed->ids().end(), ids);
  });
}

lts_status lts_archive_clear(lts_archive* archive) noexcept {
  return guarded(__func__, [&] { Borrowed<lts_archive>(archive, "archive")->clear(); });
}

lts_status lts_hypervolume(const double* points, size_t n_points, const double* reference, size_t n_objectives,
                           double* volume) noexcept {
  return guarded(__func__, [&] {
    required(volume, "volume");
    *volume = lts::hypervolume(rows(points, n_points, n_objectives), one_row(reference, n_objectives, "reference"));
  });
}

lts_status lts_nondominated_sort(const double* points, size_t n_points, size_t n_objectives,
                                 uint32_t* fronts) noexcept {
  return guarded(__func__, [&] {
    const auto sorted = lts::nondominated_sort(rows(points, n_points, n_objectives), n_objectives);
    std::copy(sorted.begin(), sorted.end(), required_array(fronts, n_points, "fronts"));
  });
}

lts_status lts_crowding_distance(const double* points, size_t n_points, size_t n_objectives,
                                 double* distances) noexcept {
  return guarded(__func__, [&] {
    const auto crowding = lts::crowding_distance(rows(points, n_points, n_objectives), n_objectives);
    std::copy(crowding.begin(), crowding.end(), required_array(distances, n_points, "distances"));
  });
}
