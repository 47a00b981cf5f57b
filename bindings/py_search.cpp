#include "py_search.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <lts/analytic.hpp>
#include <lts/cost.hpp>
#include <lts/error.hpp>
#include <lts/json.hpp>
#include <span>

#include "register.hpp"
#include "workload.hpp"

namespace lts::python {

/// Holds the search while the GIL is released; made and destroyed under the GIL.
class Turn {
 public:
  explicit Turn(PySearch& owner) : owner_(owner), search(owner.idle()) { owner_.busy_ = true; }
  ~Turn() { owner_.busy_ = false; }
  Turn(const Turn&) = delete;
  Turn(Turn&&) = delete;
  Turn& operator=(const Turn&) = delete;
  Turn& operator=(Turn&&) = delete;

 private:
  PySearch& owner_;

 public:
  Search& search;
};

Search& PySearch::idle() {
  if (busy_) throw std::runtime_error("the search is busy in another thread; calls on one search take turns");
  return search_;
}

PySearch PySearch::make(const SearchSpace& space, const ObjectivesArgument& objectives,
                        const ConstraintsArgument& constraints, const std::string& algorithm, const Int& seed,
                        const AlgorithmArguments& algorithm_options) {
  SearchOptions options{.objectives = to_objectives(objectives),
                        .constraints = to_constraints(constraints),
                        .algorithm = to_algorithm(algorithm, algorithm_options),
                        .seed = to_uint64(seed, "seed")};
  const py::gil_scoped_release release;
  return PySearch(Search(space, std::move(options)));
}

PySearch PySearch::load(const std::string& text) {
  const py::gil_scoped_release release;
  return PySearch(Search(search_state_from_json(text)));
}

std::vector<std::string> PySearch::columns() const {
  const auto columns = search_.columns();
  return {columns.begin(), columns.end()};
}

std::vector<Candidate> PySearch::ask(const Int& n) {
  const auto count = static_cast<std::size_t>(to_uint64(n, "n"));
  const Turn turn(*this);
  const py::gil_scoped_release release;
  return turn.search.ask(count);
}

void PySearch::tell(const Int& id, const ValuesArgument& values) {
  const std::uint64_t key = to_uint64(id, "id");
  Search& search = idle();
  if (values.is_none()) {
    search.tell_failed(key);
    return;
  }
  if (!py::hasattr(values, "items")) throw py::type_error("values must be a dict from column to number, or None");
  const auto columns = search.columns();
  std::vector<double> row(columns.size());
  std::vector<bool> given(columns.size(), false);
  for (const py::handle item : values.attr("items")()) {
    const auto pair = py::reinterpret_borrow<py::sequence>(item);
    const std::string name = text_of(pair[0], "a column");
    const auto at = std::find(columns.begin(), columns.end(), name);
    if (at == columns.end()) {
      std::string known;
      for (const std::string& column : columns) known.append(known.empty() ? "" : ", ").append(column);
      throw_invalid({"candidate ", std::to_string(key), ": unknown column '", name, "'; expected ", known});
    }
    const auto i = static_cast<std::size_t>(at - columns.begin());
    row[i] = to_double(pair[1], "column '" + name + "'");
    given[i] = true;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!given[i]) throw_invalid({"candidate ", std::to_string(key), ": no value for column '", columns[i], "'"});
  }
  idle().tell(key, row);
}

std::uint64_t PySearch::run(const Int& n, const Int& n_prompt, const Int& batch, const std::string& precision,
                            const std::string& logits, const CostModelsArgument& cost_models,
                            const CostModelsArgument& surrogates) {
  constexpr std::uint64_t chunk = 10'000;
  const std::uint64_t total = to_uint64(n, "n");
  const Workload load = workload(n_prompt, batch, precision, logits);
  if (!cost_models.is_none() && !surrogates.is_none()) {
    throw py::value_error("surrogates is the older name of cost_models: give one of them");
  }
  const Turn turn(*this);
  const Columns columns(turn.search.columns(), cost_models.is_none() ? surrogates : cost_models, load);
  const auto evaluate = [&columns](const Architecture& a, std::span<double> values) { columns.evaluate(a, values); };
  std::uint64_t done = 0;
  while (done < total) {
    const std::uint64_t wanted = std::min(chunk, total - done);
    std::uint64_t evaluated = 0;
    {
      const py::gil_scoped_release release;
      evaluated = turn.search.run(wanted, evaluate);
    }
    done += evaluated;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (evaluated < wanted) break;
  }
  return done;
}

std::vector<PyFrontMember> PySearch::front() {
  const Search& search = idle();
  std::vector<PyFrontMember> members;
  for (FrontMember& member : search.front()) {
    Values values;
    for (std::size_t i = 0; i < member.values.size(); ++i) {
      values[py::cast(search.options().objectives[i].name)] = member.values[i];
    }
    members.push_back({member.id, std::move(member.architecture), std::move(values)});
  }
  return members;
}

ArchiveResult PySearch::archive() {
  const ParetoArchive& archive = idle().archive();
  py::list points;
  for (std::size_t i = 0; i < archive.size(); ++i) {
    const auto point = archive.point(i);
    points.append(std::vector<double>(point.begin(), point.end()));
  }
  const std::vector<std::uint64_t> ids(archive.ids().begin(), archive.ids().end());
  const py::object copy = py::module_::import("lts._core").attr("ParetoArchive")(archive.n_objectives());
  if (!ids.empty()) copy.attr("insert")(points, ids);
  return py::reinterpret_borrow<ArchiveResult>(copy);
}

std::string PySearch::save() {
  const Turn turn(*this);
  const py::gil_scoped_release release;
  return to_json(turn.search.state());
}

std::string PySearch::representation() const {
  if (busy_) return "<Search, busy in another thread>";
  const Search& s = search_;
  return "<Search " + std::string(algorithm_name(s.options().algorithm)) + " of " +
         std::string(py::repr(py::cast(s.space().options().name))) + ": " + std::to_string(s.n_asked()) + " asked, " +
         std::to_string(s.n_told()) + " told, " + std::to_string(s.n_failed()) + " failed, " +
         std::to_string(s.archive().size()) + " on the front>";
}

}  // namespace lts::python
