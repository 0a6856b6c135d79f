# sparsam - GNU Make; `make help` lists the goals.
#
# Only GNU Make itself is assumed: `make check` and `make demo` first install what
# packages.txt names, then call make again, which only then asks pkg-config.
# SPDX-License-Identifier: Apache-2.0
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= build
OPT     ?= -O2
SAN     ?=
PKG_CONFIG ?= pkg-config
# What starts a program that this processor cannot run: an emulator, for a foreign build.
RUNNER  ?=
PREFIX  ?= /usr/local
DESTDIR ?=

VERSION := $(shell awk '/define SPARSAM_VERSION /{gsub(/"/,"",$$3); print $$3}' include/sparsam.h)
SOMAJOR := $(firstword $(subst ., ,$(VERSION)))
ARCH    := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
PKGS    := jansson yaml-0.1 sqlite3 libpcre2-8 libutf8proc zlib libzstd libsodium nlopt
CLIPKGS := libedit
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) $(CLIPKGS) 2>/dev/null)
PKG_CFLAGS += $(shell $(PKG_CONFIG) --cflags libxml-2.0 2>/dev/null) # headers only: loaded when needed
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
CLI_LIBS   := $(shell $(PKG_CONFIG) --libs $(CLIPKGS) 2>/dev/null)
# DNNL=1 with oneDNN, DNNL= without; unset: as found.
ifeq ($(origin DNNL),undefined)
DNNL    := $(shell $(PKG_CONFIG) --exists dnnl 2>/dev/null && echo 1 || (test -e /usr/include/dnnl.h && echo 1))
endif

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
           -Wcast-align -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-missing-field-initializers -Wno-psabi -Werror
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE $(OPT) -g -fPIC -pthread -fvisibility=hidden -ffp-contract=off -fno-math-errno $(WARN) $(SAN) \
           -Iinclude $(PKG_CFLAGS) $(if $(DNNL),-DSP_WITH_DNNL=1) $(CFLAGS)
LIBS     = $(PKG_LIBS) -lm -ldl -pthread $(LDFLAGS)

SRC     := $(sort $(filter-out src/kernel/portable/%,$(wildcard src/*/*.c src/*/*/*.c)))
ifneq ($(ARCH),x86_64)
SRC     := $(filter-out %_avx2.c %_avx512.c %_vnni.c,$(SRC))
endif
ifneq ($(ARCH),aarch64)
SRC     := $(filter-out %_neon.c,$(SRC))
endif
LIBSRC  := $(filter-out src/cli/%,$(SRC))
CLISRC  := $(filter src/cli/%,$(SRC))
OBJ     := $(LIBSRC:src/%.c=$(BUILD)/obj/%.o)
CLIOBJ  := $(CLISRC:src/%.c=$(BUILD)/obj/%.o)
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))
ifneq ($(ARCH),x86_64)
TESTS   := $(filter-out %_avx2,$(TESTS))
endif
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard bench/bench_*.c)))
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(sort $(wildcard examples/*.c)))
FUZZERS := $(patsubst fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard fuzz/fuzz_*.c)))
# As many jobs as processors, unless the caller said.
JOBS     = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

##@ Building
all: $(BUILD)/sparsam                    ## the program, at build/sparsam (the default)

ISA_avx2   := -mavx2 -mfma -mf16c
ISA_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
ISA_vnni   := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=256

# Without the libraries every object fails in its own way: say it once instead.
ifeq ($(and $(PKG_LIBS),$(CLI_LIBS)),)
$(OBJ) $(CLIOBJ): no-libraries
endif
no-libraries:
	@echo "sparsam needs pkg-config and:$(PKGS:%= %)$(CLIPKGS:%= %)"; echo "Run tools/setup.sh, which installs packages.txt."; exit 1

# Objects depend on the portable text they embed (.incbin) through -MMD's list or explicitly.
$(BUILD)/obj/%_avx2.o: src/%_avx2.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_avx2) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@
$(BUILD)/obj/%_avx512.o: src/%_avx512.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_avx512) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@
$(BUILD)/obj/%_vnni.o: src/%_vnni.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_vnni) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@
$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@

$(BUILD)/libsparsam.a: $(OBJ)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/libsparsam.so: $(OBJ)
	$(CC) $(SAN) -shared -Wl,-soname,libsparsam.so.$(SOMAJOR) -Wl,-z,defs -o $@ $^ $(LIBS)
$(BUILD)/sparsam: $(CLIOBJ) $(BUILD)/libsparsam.a
	$(CC) $(SAN) -o $@ $^ $(LIBS) $(CLI_LIBS)

# 64-bit Arm's dot product of bytes came with version 8.2
$(BUILD)/obj/kernel/gemm_bits_neon.o: CFLAGS_ALL += -march=armv8.2-a+dotprod
# a test that holds a row for AVX2
$(BUILD)/tests/%_avx2: CFLAGS_ALL += $(ISA_avx2)
# tests/test_ROOM.c may include any door: "room/room.h"
$(BUILD)/tests/%: tests/%.c $(BUILD)/libsparsam.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -Isrc -Itests -o $@ $< $(BUILD)/libsparsam.a $(shell $(PKG_CONFIG) --libs cmocka) $(LIBS)
# what tests/*.sh load before the program
$(BUILD)/tests/fault.so: tests/fault.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -fPIC -fvisibility=hidden $(WARN) -shared -o $@ $< -ldl
$(BUILD)/bench/%: bench/%.c $(BUILD)/libsparsam.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -Isrc -o $@ $< $(BUILD)/libsparsam.a $(LIBS)
# examples see the public header alone
$(BUILD)/examples/%: examples/%.c $(BUILD)/libsparsam.a
	@mkdir -p $(@D)
	$(CC) -std=c17 $(OPT) $(WARN) $(SAN) -Iinclude -MMD -MP -o $@ $< $(BUILD)/libsparsam.a $(LIBS)
# the ten lines at the top of the public header are a program: tests compile it
$(BUILD)/header_example.c: include/sparsam.h
	@mkdir -p $(@D)
	awk "/^ \\* A program:/ { on = 1; next } on && !/^ \\*     / { exit } on { print substr(\$$0, 8) }" $< > $@
$(BUILD)/header_example: $(BUILD)/header_example.c $(BUILD)/libsparsam.a
	$(CC) -std=c17 $(OPT) $(WARN) $(SAN) -Iinclude -o $@ $< $(BUILD)/libsparsam.a $(LIBS)
# fuzz targets: with the plain driver they run files, FUZZ=1 (clang) makes them search
$(BUILD)/fuzz/%: fuzz/%.c fuzz/driver.c $(BUILD)/libsparsam.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(if $(FUZZ),-fsanitize=fuzzer) -MMD -MP -Isrc -o $@ $< $(if $(FUZZ),,fuzz/driver.c) $(BUILD)/libsparsam.a $(LIBS)

examples: $(EXAMPLES) $(BUILD)/header_example ## programs built against include/sparsam.h alone

##@ Trying and checking (each does its own set-up)
demo:                                    ## the whole story on real text, in a few minutes
	@tools/setup.sh
	@$(MAKE) --no-print-directory $(JOBS) all
	@$(BUILD)/sparsam demo $(DEMO)

check:                                   ## set-up, build, every test; closes with a count
	@tools/setup.sh
	@$(MAKE) --no-print-directory check-all

TALLY   := build/tally
ASAN    := BUILD=build-asan OPT=-O1 SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
# The sanitizer build of `check` is also the build without oneDNN: one build, two promises.
PLAIN   := BUILD=build-plain OPT=-O1 SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" DNNL=
check-all:
	@mkdir -p build && : > $(TALLY)
	@tools/run_tests.sh one $(TALLY) rooms tools/rooms.sh
	@tools/run_tests.sh one $(TALLY) headers tools/headers.sh $(CC) $(CFLAGS_ALL)
	@$(MAKE) -s --no-print-directory $(JOBS) all programs
	@tools/run_tests.sh run $(TALLY) plain $(TESTS) $(wildcard tests/*.sh)
	@$(MAKE) -s --no-print-directory $(JOBS) $(PLAIN) all programs fuzzers
	@$(MAKE) -s --no-print-directory $(PLAIN) TALLY=$(TALLY) run-sanitized
	@tools/run_tests.sh sum $(TALLY)
run-sanitized:
	@BUILD=$(BUILD) tools/run_tests.sh run $(TALLY) sanitize $(TESTS) tests/verbs.sh
	@for f in $(FUZZERS); do tools/run_tests.sh one $(TALLY) fuzz $$f fuzz/corpus/$${f##*/fuzz_}; done
programs: $(TESTS) $(EXAMPLES) $(BUILD)/tests/fault.so $(if $(wildcard src/api/machine.c),$(BUILD)/header_example)
fuzzers: $(FUZZERS)

unit: $(TESTS)                           ## unit tests alone, no set-up
	@for t in $(TESTS); do echo "== $$t"; $(RUNNER) $$t || exit 1; done
asan:                                    ## unit tests under the address and undefined-behaviour sanitizers
	$(MAKE) unit $(ASAN)
ubsan:                                   ## unit tests under the undefined-behaviour sanitizer alone
	$(MAKE) unit BUILD=build-ubsan OPT=-O1 SAN="-fsanitize=undefined -fno-sanitize-recover=all"
tsan:                                    ## unit tests under the thread sanitizer
	$(MAKE) unit BUILD=build-tsan OPT=-O1 SAN="-fsanitize=thread"
FUZZ_SECONDS ?= 20
fuzz:                                    ## search for crashes with clang's fuzzer, FUZZ_SECONDS each
	$(MAKE) CC=clang BUILD=build-fuzz FUZZ=1 OPT=-O1 SAN="-fsanitize=address,undefined,fuzzer-no-link" fuzzers
	@for f in $(notdir $(FUZZERS)); do mkdir -p build-fuzz/corpus/$${f#fuzz_}; \
	    build-fuzz/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -artifact_prefix=build-fuzz/ \
	        build-fuzz/corpus/$${f#fuzz_} fuzz/corpus/$${f#fuzz_} || exit 1; done
cover:                                   ## lines that unit tests execute, a room a line
	$(MAKE) -s $(JOBS) BUILD=build-cover OPT=-O0 SAN=--coverage programs
	@find build-cover -name '*.gcda' -delete
	@$(MAKE) -s BUILD=build-cover OPT=-O0 SAN=--coverage unit >/dev/null 2>&1 || echo "cover: some tests failed"
	@tools/cover.sh build-cover
bench: $(BENCHES)                        ## kernel rows and more, timed
	@for b in $(BENCHES); do $$b || exit 1; done

##@ Other processors, under an emulator (qemu-user; not part of check)
# On an Arm machine itself, none of this is needed: plain make check.
ARM64   := CC=aarch64-linux-gnu-gcc BUILD=build-arm64 DNNL=1 RUNNER=qemu-aarch64
arm64:                                   ## builds for 64-bit Arm and runs the tests under an emulator
	@tools/emulators.sh arm64
	@export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig; \
	    $(MAKE) -s --no-print-directory $(JOBS) $(ARM64) all programs fuzzers && $(MAKE) -s --no-print-directory $(ARM64) emulated
# Nehalem (2008): SSE4.2 and nothing above it.
NOAVX   := RUNNER="qemu-x86_64 -cpu Nehalem"
noavx:                                   ## runs the tests on an x86-64 without AVX, under an emulator
	@tools/emulators.sh noavx
	@$(MAKE) -s --no-print-directory $(JOBS) all programs fuzzers
	@tools/noavx.sh $(BUILD)/obj $(BUILD)/sparsam
	@$(MAKE) -s --no-print-directory $(NOAVX) emulated
# Not kill.sh and disk.sh, which load a library into the program, nor install.sh; nor what stands in for other
# processors' rows by cutting their vectors, which any processor tests as well.
EMULATED := $(filter-out %_wide %_narrow %_avx2,$(TESTS)) tests/verbs.sh tests/measure.sh tests/small.sh
emulated:
	@printf '#!/bin/sh\nexec %s "%s" "$$@"\n' '$(RUNNER)' '$(abspath $(BUILD)/sparsam)' > $(BUILD)/sparsam-emulated
	@chmod +x $(BUILD)/sparsam-emulated; : > $(BUILD)/tally
	@export PROGRAM='$(abspath $(BUILD)/sparsam-emulated)' RUNNER='$(RUNNER)' CC='$(CC)' TEST_SECONDS=1800; \
	    tools/run_tests.sh run $(BUILD)/tally emulated $(EMULATED); \
	    for f in $(FUZZERS); do tools/run_tests.sh one $(BUILD)/tally emulated $$f fuzz/corpus/$${f##*/fuzz_}; done
	@tools/run_tests.sh sum $(BUILD)/tally

##@ Looking after the source
rooms:                                   ## includes go through doors, as rooms.txt allows
	@tools/rooms.sh
headers:                                 ## every header compiles alone
	@tools/headers.sh $(CC) $(CFLAGS_ALL)
shape:                                   ## how long functions and files are
	@tools/shape.sh
catalog:                                 ## facts in catalog/*.csv to C
	@if [ -x tools/catalog.sh ]; then tools/catalog.sh; else echo "catalog: no facts are compiled in yet"; fi
setup:                                   ## installs what packages.txt names
	@tools/setup.sh
clean:                                   ## removes everything built
	rm -rf build build-*

##@ Installing (DESTDIR, PREFIX)
LIBDIR  ?= $(PREFIX)/lib
install: all $(BUILD)/libsparsam.so $(BUILD)/sparsam.pc $(BUILD)/sparsam.1 ## program, libraries, header, pkg-config file, man page
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(PREFIX)/include $(LIBDIR)/pkgconfig $(PREFIX)/share/man/man1)
	install -m 755 $(BUILD)/sparsam $(DESTDIR)$(PREFIX)/bin/
	install -m 644 include/sparsam.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libsparsam.a $(DESTDIR)$(LIBDIR)/
	install -m 755 $(BUILD)/libsparsam.so $(DESTDIR)$(LIBDIR)/libsparsam.so.$(VERSION)
	ln -sf libsparsam.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libsparsam.so.$(SOMAJOR)
	ln -sf libsparsam.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/libsparsam.so
	install -m 644 $(BUILD)/sparsam.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 644 $(BUILD)/sparsam.1 $(DESTDIR)$(PREFIX)/share/man/man1/
uninstall:                               ## removes what install put there
	rm -f $(addprefix $(DESTDIR),$(PREFIX)/bin/sparsam $(PREFIX)/include/sparsam.h $(LIBDIR)/libsparsam.a \
	    $(LIBDIR)/libsparsam.so $(LIBDIR)/libsparsam.so.$(SOMAJOR) $(LIBDIR)/libsparsam.so.$(VERSION) \
	    $(LIBDIR)/pkgconfig/sparsam.pc $(PREFIX)/share/man/man1/sparsam.1)
$(BUILD)/sparsam.pc: sparsam.pc.in Makefile include/sparsam.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@PKGS@|$(PKGS)|' $< > $@
$(BUILD)/sparsam.1: $(BUILD)/sparsam
	$(BUILD)/sparsam --man > $@

help:                                    ## this list
	@awk -F'##' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z0-9]+:.*## / { split($$1, g, ":"); printf "  make %-10s %s\n", g[1], $$2 }' Makefile

.PHONY: all no-libraries demo check check-all run-sanitized arm64 noavx emulated programs fuzzers examples unit asan ubsan tsan fuzz cover \
    bench rooms headers shape catalog setup clean install uninstall help
.SECONDARY: $(BUILD)/header_example.c
-include $(OBJ:.o=.d) $(CLIOBJ:.o=.d) $(wildcard $(BUILD)/tests/*.d $(BUILD)/bench/*.d $(BUILD)/fuzz/*.d)
