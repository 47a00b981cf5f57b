#include <pybind11/stl.h>

#include <algorithm>
#include <lts/cost.hpp>
#include <lts/error.hpp>
#include <lts/json.hpp>
#include <lts/search.hpp>
#include <stdexcept>

#include "convert.hpp"
#include "cost_models.hpp"
#include "register.hpp"
#include "search_options.hpp"
#include "workload.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using lts::Candidate;
using lts::SearchSpace;

namespace {

using ValuesArgument = Argument<"collections.abc.Mapping[str, typing.SupportsFloat] | None">;
using ArchiveResult = Argument<"lts._core.ParetoArchive">;
using Values = py::typing::Dict<py::str, py::float_>;

/// A search, and whether a call on it is at work without the GIL.
struct PySearch {
  lts::Search search;
  bool busy = false;

  explicit PySearch(lts::Search s) : search(std::move(s)) {}

  /// The search, for a short call under the GIL.
  lts::Search& idle() {
    if (busy) throw std::runtime_error("the search is busy in another thread; calls on one search take turns");
    return search;
  }
};

/// Holds the search while the GIL is released; made and destroyed under the GIL.
class Turn {
 public:
  explicit Turn(PySearch& owner) : owner_(owner), search(owner.idle()) { owner_.busy = true; }
  ~Turn() { owner_.busy = false; }
  Turn(const Turn&) = delete;
  Turn(Turn&&) = delete;
  Turn& operator=(const Turn&) = delete;
  Turn& operator=(Turn&&) = delete;

 private:
  PySearch& owner_;

 public:
  lts::Search& search;
};

struct FrontMember {
  std::uint64_t id;
  Architecture architecture;
  Values values;
};

PySearch make_search(const SearchSpace& space, const ObjectivesArgument& objectives,
                     const ConstraintsArgument& constraints, const std::string& algorithm, const Int& seed,
                     const AlgorithmArguments& algorithm_options) {
  lts::SearchOptions options{.objectives = to_objectives(objectives),
                             .constraints = to_constraints(constraints),
                             .algorithm = to_algorithm(algorithm, algorithm_options),
                             .seed = to_uint64(seed, "seed")};
  const py::gil_scoped_release release;
  return PySearch(lts::Search(space, std::move(options)));
}

PySearch load(const std::string& text) {
  const py::gil_scoped_release release;
  return PySearch(lts::Search(lts::search_state_from_json(text)));
}

py::typing::Dict<py::str, py::object> algorithm_options_of(PySearch& self) {
  return options_of(self.idle().options().algorithm);
}

// --- The loop ---

std::vector<Candidate> ask(PySearch& self, const Int& n) {
  const auto count = static_cast<std::size_t>(to_uint64(n, "n"));
  const Turn turn(self);
  const py::gil_scoped_release release;
  return turn.search.ask(count);
}

void tell(PySearch& self, const Int& id, const ValuesArgument& values) {
  const std::uint64_t key = to_uint64(id, "id");
  lts::Search& search = self.idle();
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
      lts::throw_invalid({"candidate ", std::to_string(key), ": unknown column '", name, "'; expected ", known});
    }
    const auto i = static_cast<std::size_t>(at - columns.begin());
    row[i] = to_double(pair[1], "column '" + name + "'");
    given[i] = true;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!given[i]) lts::throw_invalid({"candidate ", std::to_string(key), ": no value for column '", columns[i], "'"});
  }
  self.idle().tell(key, row);
}

std::uint64_t run(PySearch& self, const Int& n, const Int& n_prompt, const Int& batch, const std::string& precision,
                  const CostModelsArgument& cost_models, const CostModelsArgument& surrogates) {
  constexpr std::uint64_t chunk = 10'000;
  const std::uint64_t total = to_uint64(n, "n");
  const lts::Workload load = workload(n_prompt, batch, precision);
  if (!cost_models.is_none() && !surrogates.is_none()) {
    throw py::value_error("surrogates is the older name of cost_models: give one of them");
  }
  const Turn turn(self);
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

std::vector<FrontMember> front(PySearch& self) {
  const lts::Search& search = self.idle();
  std::vector<FrontMember> members;
  for (lts::FrontMember& member : search.front()) {
    Values values;
    for (std::size_t i = 0; i < member.values.size(); ++i) {
      values[py::cast(search.options().objectives[i].name)] = member.values[i];
    }
    members.push_back({member.id, std::move(member.architecture), std::move(values)});
  }
  return members;
}

ArchiveResult archive_of(PySearch& self) {
  const lts::ParetoArchive& archive = self.idle().archive();
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

std::string save(PySearch& self) {
  const Turn turn(self);
  const py::gil_scoped_release release;
  return lts::to_json(turn.search.state());
}

std::string representation(PySearch& self) {
  if (self.busy) return "<Search, busy in another thread>";
  const lts::Search& s = self.search;
  return "<Search " + std::string(lts::algorithm_name(s.options().algorithm)) + " of " +
         std::string(py::repr(py::cast(s.space().options().name))) + ": " + std::to_string(s.n_asked()) + " asked, " +
         std::to_string(s.n_told()) + " told, " + std::to_string(s.n_failed()) + " failed, " +
         std::to_string(s.archive().size()) + " on the front>";
}

void register_results(py::module_& m) {
  py::class_<Candidate>(m, "Candidate", "An architecture to evaluate; see `Search.ask`.")
      .def_readonly("id", &Candidate::id, "What `Search.tell` is called with.")
      .def_readonly("architecture", &Candidate::architecture, "What to evaluate.")
      .def("__repr__", [](const Candidate& c) {
        return "<Candidate " + std::to_string(c.id) + ": " + std::string(py::repr(py::cast(c.architecture))) + ">";
      });
  py::class_<FrontMember>(m, "FrontMember", "A feasible, non-dominated result; see `Search.front`.")
      .def_readonly("id", &FrontMember::id, "Id of the candidate.")
      .def_readonly("architecture", &FrontMember::architecture, "What was evaluated.")
      .def_readonly("values", &FrontMember::values, "One value per objective, in its own direction.")
      .def("__repr__", [](const FrontMember& f) {
        return "<FrontMember " + std::to_string(f.id) + ": " + std::string(py::repr(f.values)) + ">";
      });
}

}  // namespace

void register_search(py::module_& m) {
  register_results(m);
  m.def(
      "algorithm_names",
      [] {
        const auto names = lts::algorithm_names();
        return std::vector<std::string_view>(names.begin(), names.end());
      },
      "Names of the search algorithms.");

  py::class_<PySearch>(m, "Search", R"(Ask for candidates, tell their results, in any order and any number at a time.

The same seed and the same sequence of calls give the same candidates on every platform. Calls on one search take turns:
a call while another thread is inside one raises RuntimeError.

Parameters
----------
space
    What is searched.
objectives
    Columns with ``min`` or ``max``: ``{"decoder_params": "max", "latency_ms": "min"}`` or
    ``["decoder_params:max", "latency_ms:min"]``.
constraints
    Bounds such as ``"latency_ms<=20"``.
algorithm
    ``lts`` (the evolutionary search of LiteTransformerSearch, arXiv 2203.02094), ``nsga2`` (Deb et al. 2002), ``local``
    (Pareto local search, Paquete et al. 2004), ``random`` or ``exhaustive``.
seed
    From 0 to 2**64 - 1.
**algorithm_options
    ``lts``: population_size, n_parents, n_mutants, n_crossovers, mutation_probability, crossover_probability;
    ``nsga2``: population_size, crossover_probability, mutation_probability; ``local``: n_initial.

Raises
------
ValueError
    No objective, a column named twice, an unknown algorithm, or an option that is unknown or out of range.

Examples
--------
>>> import lts
>>> space = lts.SearchSpace(n_layer=[2, 3], d_model=[64, 128], n_head=[2, 4], d_ff=[128, 256, 512])
>>> search = lts.Search(space, {"decoder_params": "max", "flops_prefill": "min"}, algorithm="exhaustive")
>>> search.run(10_000) == space.size
True)")
      .def(py::init(&make_search), py::arg("space"), py::arg("objectives"), py::arg("constraints") = py::tuple(),
           py::arg("algorithm") = "lts", py::arg("seed") = 0)
      .def("ask", &ask, py::arg("n") = 1,
           "Up to n new candidates; fewer, in the end none, when the space is used up. No architecture comes twice.")
      .def(
          "add", [](PySearch& s, const Architecture& a) { return s.idle().add(a); }, py::arg("architecture"),
          R"(An architecture of one's own choice as a candidate, to be told like any other.

Returns
-------
int or None
    Its id; None when it was proposed before.

Raises
------
ValueError
    When it is not in the space.)")
      .def("tell", &tell, py::arg("id"), py::arg("values"), R"(The results of a candidate.

Parameters
----------
id
    Of the candidate.
values
    One finite number per column of `columns`, in its own direction; None when the candidate could not be evaluated.

Raises
------
ValueError
    An unknown or already told id, a missing or unknown column, or a value that is not finite.)")
      .def(
          "tell_failed", [](PySearch& s, const Int& id) { s.idle().tell_failed(to_uint64(id, "id")); }, py::arg("id"),
          R"(The candidate could not be evaluated; it will not be asked again.

Raises
------
ValueError
    An unknown or already told id.)")
      .def("run", &run, py::arg("n"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
           py::arg("precision") = "float32", py::arg("cost_models") = py::none(), py::arg("surrogates") = py::none(),
           R"(Evaluate n candidates on analytic and predicted columns, in C++ and without the GIL.

Ctrl-C stops between candidates, with everything told so far kept.

Parameters
----------
n
    How many.
n_prompt, batch, precision
    See `analytic`.
cost_models
    `Surrogate` or `LayerCosts` by column, for those that are predicted.
surrogates
    The older name of it.

Returns
-------
int
    How many were evaluated; fewer when the space is used up.

Raises
------
ValueError
    When a column is neither among `analytic_names` nor predicted, or a model cannot predict an architecture, which is then
    pending.)")
      .def("front", &front, "The feasible, non-dominated results, in the order of `archive`.")
      .def(
          "pending", [](PySearch& s) { return s.idle().pending(); }, "Candidates asked and not told, ascending ids.")
      .def_property_readonly("archive", &archive_of, "A copy of the archive: ids and minimized values of the front.")
      .def_property_readonly(
          "columns",
          [](PySearch& s) {
            const auto columns = s.search.columns();
            return std::vector<std::string>(columns.begin(), columns.end());
          },
          "What `tell` needs values for: the objectives, then the columns that only constraints use.")
      .def_property_readonly(
          "objectives", [](PySearch& s) { return s.search.options().objectives; }, "What is optimized.")
      .def_property_readonly(
          "constraints", [](PySearch& s) { return s.search.options().constraints; }, "The bounds.")
      .def_property_readonly(
          "algorithm", [](PySearch& s) { return lts::algorithm_name(s.search.options().algorithm); },
          "Name of the algorithm.")
      .def_property_readonly("algorithm_options", &algorithm_options_of, "All options of the algorithm.")
      .def_property_readonly(
          "seed", [](PySearch& s) { return s.search.options().seed; }, "Seed of the search.")
      .def_property_readonly(
          "space", [](PySearch& s) -> const SearchSpace& { return s.search.space(); }, "What is searched.")
      .def_property_readonly(
          "n_asked", [](PySearch& s) { return s.idle().n_asked(); }, "Candidates handed out.")
      .def_property_readonly(
          "n_told", [](PySearch& s) { return s.idle().n_told(); }, "Candidates with results.")
      .def_property_readonly(
          "n_failed", [](PySearch& s) { return s.idle().n_failed(); }, "Candidates that failed.")
      .def("save", &save, "The whole state as one line of JSON; `load` goes on exactly there.")
      .def_static("load", &load, py::arg("text"), R"(The search that `save` saved.

Raises
------
ValueError
    With line and column of a syntax error, or naming what is wrong with the state.)")
      .def("__repr__", &representation);
}
