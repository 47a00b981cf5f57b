#include <lts/pooled.hpp>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "py_surrogate.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;

namespace {

template <class Value>
using Each = std::vector<Value>;

lts::Pooled fit(const Each<Architectures>& architectures, const Each<ArrayLike>& values,
                const std::optional<Each<OptionalArrayLike>>& noise, double level) {
  if (values.size() != architectures.size() || (noise && noise->size() != architectures.size())) {
    throw py::value_error("pooled: architectures, values and noise must be of the same number of devices");
  }
  Each<std::vector<lts::CostSample>> devices;
  for (std::size_t d = 0; d < architectures.size(); ++d) {
    devices.push_back(to_samples(architectures[d], values[d], noise ? py::object((*noise)[d]) : py::none()));
  }
  const py::gil_scoped_release release;
  return lts::fit_pooled(devices, level);
}

}  // namespace

void register_pooled(py::module_& m) {
  py::class_<lts::Pooled>(m, "Pooled", R"(What the costs of several devices have in common.

Costs of one kind on different devices are nearly proportional. Relative ones have the mean 1 over the architectures of
all samples; what devices share is the mean of their relative coefficients. Lists are in the order of the devices.)")
      .def_static("fit", &fit, py::arg("architectures"), py::arg("values"), py::kw_only(),
                  py::arg("noise") = py::none(), py::arg("level") = 0.9, R"(Fit all devices at once.

Parameters
----------
architectures
    The measured architectures of each device, which may differ; of at least one device 3 or more.
values
    Their costs, above 0, in any unit, which may differ by device.
noise
    Standard errors relative to the values, for each device an array or None; none by default.
level
    Share of architectures whose cost lies in the predicted interval.

Raises
------
ValueError
    For too few samples, or a number out of range.)")
      .def_property_readonly(
          "unmeasured",
          [](const lts::Pooled& p) {
            return PySurrogate{p.unmeasured, {}};
          },
          "Relative costs of a device without samples; its coefficients are what the devices share.")
      .def_property_readonly(
          "surrogates",
          [](const lts::Pooled& p) {
            Each<PySurrogate> result;
            for (const auto& device : p.devices) result.push_back({device.surrogate, device.quality});
            return result;
          },
          "Costs of each device, from its samples and from what the others share.")
      .def_property_readonly(
          "priors",
          [](const lts::Pooled& p) {
            Each<std::optional<Named>> result;
            for (const auto& device : p.devices) {
              result.push_back(device.prior.empty() ? std::nullopt
                                                    : std::optional<Named>(named_terms(device.prior, false)));
            }
            return result;
          },
          "For each device the relative coefficients that the others share, for `Surrogate.fit`; None without others.")
      .def_property_readonly(
          "from_others",
          [](const lts::Pooled& p) {
            Each<Each<double>> result;
            for (const auto& device : p.devices) result.push_back(device.from_others);
            return result;
          },
          "The samples of each device as the others predict them, in its unit; empty without others.")
      .def_property_readonly(
          "errors_from_others",
          [](const lts::Pooled& p) {
            Each<double> result;
            for (const auto& device : p.devices) result.push_back(device.error_from_others);
            return result;
          },
          "Mean relative errors of these predictions.")
      .def("__repr__", [](const lts::Pooled& p) {
        return "<Pooled of " + std::to_string(p.devices.size()) + " devices, error of another one " +
               std::to_string(100 * p.unmeasured.state().error) + " %>";
      });
}
