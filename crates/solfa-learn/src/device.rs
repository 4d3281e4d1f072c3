//! Where tensors live: chosen at run time, and never silently another place than the one asked for.

/// Where tensors live and are computed on.
pub use burn::tensor::Device;

/// A device by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// This machine's processor, through Burn's Flex backend.
    Cpu,
    /// A graphics processor through Vulkan; needs the `vulkan` feature.
    Vulkan,
    /// An NVIDIA graphics processor through CUDA; needs the `cuda` feature.
    Cuda,
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without the backend.
    #[error("this solfa was built without {name}: build it with `--features {name}`, or use `--device cpu`")]
    NotBuilt {
        /// The device's name.
        name: &'static str,
    },
    /// The backend is there and the machine has no such device.
    #[error("no {name} device was found on this machine: use `--device cpu`, or check its driver with `solfa doctor`")]
    Absent {
        /// The device's name.
        name: &'static str,
    },
}

impl DeviceChoice {
    /// All choices, whether built or not.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Vulkan, Self::Cuda];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// The device itself.
    ///
    /// # Errors
    /// [`DeviceError`] where the backend was not built in or the machine has no such device. There is no fall-back.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Vulkan => open_vulkan(),
            Self::Cuda => open_cuda(),
        }
    }
}

/// Whether tensors live in the processor's memory and nobody tracks gradients: then a view may overlap itself, and
/// values may be worked on in place, neither of which graphics processors or gradients allow.
pub(crate) fn is_cpu_without_autodiff(device: &Device) -> bool {
    !device.is_autodiff() && *device == Device::flex()
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name() == text)
            .ok_or_else(|| format!("`{text}` is not a device: expected cpu, vulkan or cuda"))
    }
}

#[cfg(feature = "vulkan")]
fn open_vulkan() -> Result<Device, DeviceError> {
    use burn::tensor::{DeviceKind, DeviceType};
    first_enumerated(DeviceType::Vulkan, "vulkan")?;
    Ok(Device::vulkan(DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "vulkan"))]
fn open_vulkan() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: "vulkan" })
}

#[cfg(feature = "cuda")]
fn open_cuda() -> Result<Device, DeviceError> {
    use burn::tensor::DeviceType;
    first_enumerated(DeviceType::Cuda, "cuda")?;
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: "cuda" })
}

#[cfg(any(feature = "vulkan", feature = "cuda"))]
fn first_enumerated(device_type: burn::tensor::DeviceType, name: &'static str) -> Result<(), DeviceError> {
    // Enumerating a backend whose driver library is missing may panic inside the backend: that, too, is an absence.
    let found = std::panic::catch_unwind(|| !Device::enumerate(device_type).into_vec().is_empty()).unwrap_or(false);
    if found { Ok(()) } else { Err(DeviceError::Absent { name }) }
}

/// The device that tests run on.
#[cfg(test)]
pub(crate) fn test_device() -> Device {
    Device::flex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_built_in_is_an_error_and_not_the_cpu() {
        assert!(DeviceChoice::Cpu.open().is_ok());
        if !cfg!(feature = "vulkan") {
            assert_eq!(DeviceChoice::Vulkan.open().unwrap_err(), DeviceError::NotBuilt { name: "vulkan" });
        }
        if !cfg!(feature = "cuda") {
            assert_eq!(DeviceChoice::Cuda.open().unwrap_err(), DeviceError::NotBuilt { name: "cuda" });
        }
    }

    #[test]
    fn names_read_back() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.name().parse(), Ok(choice));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
