# The front door of the source tree; the work is done by CMake and by the scripts in tools/.
#
#   make demo [DIR=folder]   sets up what is missing, builds, runs the main job on real input (default: Python's own sources)
#   make test                sets up what is missing, builds, runs all tests; ends in one plain line: N passed, N failed
#   make build               builds; afterwards build/python is the chosen Python with stoa importable
#   make bench               measures; writes build/bench.json and prints it
#   make install PREFIX=...  headers, library, stoa.pc, stoaConfig.cmake, Python package
#   make format              lays out the C sources (clang-format 14); make check-format only looks
#   make clean               removes the build folders
#
#   PYTHON=path     the Python to build for; without it STOA_PYTHON, then the newest supported one that has headers
#   PRESET=name     release (default), dev, asan, tsan, delays: see CMakePresets.json
#   BUILD=folder    default: build, build-dev, build-asan …
#   JOBS=n          default: as many as there are processors
#   TESTS=regex     make test: only tests whose name matches
PRESET ?= release
BUILD ?= $(or $(STOA_BUILD),build)$(if $(filter-out release,$(PRESET)),-$(PRESET))
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PREFIX ?= /usr/local
CMAKE_ARGS ?=

.PHONY: help build demo test bench install format check-format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   \{0,1\}/ /p' Makefile

build:
	@python=$$(PYTHON='$(PYTHON)' tools/setup.sh) && \
	cmake --preset $(PRESET) -B $(BUILD) -DSTOA_PYTHON="$$python" --log-level=NOTICE $(CMAKE_ARGS) && \
	cmake --build $(BUILD) -j $(JOBS)

demo: build
	@$(BUILD)/python -m stoa demo $(DIR)

test: build
	@$(BUILD)/venv/bin/python tools/test.py -j $(JOBS) $(if $(TESTS),-R '$(TESTS)') $(BUILD)

bench: build
	@$(BUILD)/python bench/run.py --output $(BUILD)/bench.json $(BENCH)

install:
	@prefix=$$(realpath -m -- '$(PREFIX)') && \
	$(MAKE) --no-print-directory build CMAKE_ARGS='$(CMAKE_ARGS) -DCMAKE_INSTALL_PREFIX="'"$$prefix"'"'
	@cmake --install $(BUILD)

format:
	@tools/format.sh

check-format:
	@tools/format.sh --check

clean:
	rm -rf build build-*
