"""The built-in devices, one per module; `lts.device` says what a device is and opens them."""
