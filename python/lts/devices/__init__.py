"""The built-in devices, one per module; `lts.devices.device` says what a device is and opens them."""
