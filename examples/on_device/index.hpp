#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/search_space.hpp"

namespace on_device {

/// The shape of a layer; layers of the same shape take the same time.
struct Shape {
  std::int64_t d_model = 0;
  std::int64_t n_head = 0;
  std::int64_t n_kv_head = 0;
  std::int64_t d_ff = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes the comparison with 0 that this stands for as ours
  friend auto operator<=>(const Shape&, const Shape&) = default;
};

Shape shape_of(const lts::Architecture& architecture, const lts::Layer& layer);

/// A compiled model; its path in the folder is its name.
struct Model {
  std::string path;
  lts::Architecture architecture;
};

/// The content of shapes.json, which describes a prepared folder.
struct Index {
  std::string folder;  ///< with a slash at its end
  std::string tvm;     ///< version of the libraries in the folder
  std::string weights;
  int threads = 1;
  lts::SearchSpaceOptions space;
  std::map<Shape, Model> layers;       ///< equal layers of a shape
  std::map<std::int64_t, Model> rest;  ///< by d_model: a model of one of these shapes with another number of layers
  std::vector<Model> checks;
  std::string checksum;  ///< checksum of shapes.json
};

/// @throws lts::runner::Error or std::invalid_argument saying what is wrong with the file.
Index load_index(const std::string& folder);

}  // namespace on_device
