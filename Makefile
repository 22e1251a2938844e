# The front door; the work is done by CMake and tools/.   make build | test | format
#   PYTHON=path     the Python to build for (else STOA_PYTHON, else the newest supported one found)
#   PRESET=name     release (default), dev, asan, tsan: see CMakePresets.json
#   BUILD=folder    default: build, build-dev, build-asan, build-tsan
PRESET ?= release
BUILD ?= $(or $(STOA_BUILD),build)$(if $(filter-out release,$(PRESET)),-$(PRESET))
JOBS ?= 2
PYTHON ?= $(STOA_PYTHON)

.PHONY: build test clean
build:
	@cmake --preset $(PRESET) -B $(BUILD) $(if $(PYTHON),-DSTOA_PYTHON=$(PYTHON))
	@cmake --build $(BUILD) -j $(JOBS)

test: build
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

clean:
	rm -rf build build-*
