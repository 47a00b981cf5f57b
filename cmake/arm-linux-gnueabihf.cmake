# 32-bit Arm with hardware floating point, as Debian's armhf: ARMv7-A with 16 VFPv3 registers.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)
set(CMAKE_C_FLAGS_INIT "-march=armv7-a -mfpu=vfpv3-d16")
set(CMAKE_CXX_FLAGS_INIT "-march=armv7-a -mfpu=vfpv3-d16")
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
find_program(LTS_QEMU_ARM qemu-arm) # runs the tests, where it is installed
if(LTS_QEMU_ARM)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${LTS_QEMU_ARM};-L;/usr/arm-linux-gnueabihf")
endif()
