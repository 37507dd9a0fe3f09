"""The size of a lab."""

HOSTS = 200  # a bridge of the kernel has 1,023 ports; a host takes about 6 MiB
SEGMENTS = 64
ROUTERS = 16
FILE_SIZE = 1 << 20  # bytes
