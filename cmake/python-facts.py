"""Prints what the build has to know about the Python that runs this, as CMake set() lines."""
import os
import struct
import sys
import sysconfig

var = sysconfig.get_config_var


def emit(name, value):
    print(f'set(STOA_PY_{name} [==[{value}]==])')


include = sysconfig.get_path("include")
libdir = var("LIBDIR") or ""
libname = var("LDLIBRARY") or ""
library = ""
for folder in (libdir, os.path.join(libdir, var("MULTIARCH") or ""), os.path.join(sys.base_prefix, "lib"), var("LIBPL") or ""):
    candidate = os.path.join(folder, libname)
    if libname and os.path.exists(candidate):
        library = candidate
        break

emit("VERSION", "%d.%d.%d" % sys.version_info[:3])
emit("MINOR", "%d.%d" % sys.version_info[:2])
emit("MINOR_NUMBER", sys.version_info[1])
emit("IMPLEMENTATION", sys.implementation.name)
emit("ABIFLAGS", getattr(sys, "abiflags", ""))
emit("DEBUG", int(hasattr(sys, "gettotalrefcount")))
emit("FREE_THREADED", int(bool(var("Py_GIL_DISABLED"))))
emit("POINTER_BYTES", struct.calcsize("P"))
emit("EXECUTABLE", sys.executable)
emit("BASE_EXECUTABLE", getattr(sys, "_base_executable", sys.executable))
emit("BASE_PREFIX", sys.base_prefix)
emit("INCLUDE", include)
emit("PLATINCLUDE", sysconfig.get_path("platinclude"))
emit("HAS_HEADERS", int(os.path.exists(os.path.join(include, "Python.h"))))
emit("LIBRARY", library)
emit("LIBRARY_DIR", os.path.dirname(library))
emit("LIBRARY_IS_SHARED", int(library.endswith((".so", ".dylib")) or ".so." in library))
emit("LIBS", ";".join(((var("LIBS") or "") + " " + (var("SYSLIBS") or "")).split()))
emit("EXT_SUFFIX", var("EXT_SUFFIX"))
emit("PLATLIB", sysconfig.get_path("platlib"))
