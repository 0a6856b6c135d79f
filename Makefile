# sparsam - GNU Make; `make help` lists the goals.
CC      ?= gcc
BUILD   ?= build
OPT     ?= -O2
SAN     ?=
DNNL    ?= $(shell pkg-config --exists dnnl 2>/dev/null && echo 1 || (test -e /usr/include/dnnl.h && echo 1))

ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)
PKGS    := jansson yaml-0.1 sqlite3 libpcre2-8 libutf8proc zlib libzstd libsodium
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
           -Wcast-align -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-missing-field-initializers -Werror
CFLAGS_ALL = -std=gnu17 $(OPT) -g -fPIC -pthread -fvisibility=hidden -ffp-contract=off -fno-math-errno $(WARN) $(SAN) \
           $(shell pkg-config --cflags $(PKGS)) $(if $(DNNL),-DSP_WITH_DNNL=1) $(CFLAGS)
LIBS     = $(shell pkg-config --libs $(PKGS)) -lm -ldl -pthread

SRC     := $(sort $(wildcard src/*/*.c src/*/*/*.c))
ifneq ($(ARCH),x86_64)
SRC     := $(filter-out %_avx2.c %_avx512.c,$(SRC))
endif
ifneq ($(ARCH),aarch64)
SRC     := $(filter-out %_neon.c,$(SRC))
endif
LIBSRC  := $(filter-out src/cli/%,$(SRC))
CLISRC  := $(filter src/cli/%,$(SRC))
OBJ     := $(LIBSRC:src/%.c=$(BUILD)/obj/%.o)
CLIOBJ  := $(CLISRC:src/%.c=$(BUILD)/obj/%.o)
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))

all: $(BUILD)/sparsam

ISA_avx2   := -mavx2 -mfma -mf16c
ISA_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512

# Objects depend on the portable text they embed (.incbin) through -MMD's list or explicitly.
$(BUILD)/obj/%_avx2.o: src/%_avx2.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_avx2) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@
$(BUILD)/obj/%_avx512.o: src/%_avx512.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(ISA_avx512) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@
$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -Isrc/$(firstword $(subst /, ,$*)) -c $< -o $@

$(BUILD)/libsparsam.a: $(OBJ)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/sparsam: $(CLIOBJ) $(BUILD)/libsparsam.a
	$(CC) $(SAN) -o $@ $^ $(LIBS)

# tests/test_ROOM.c may include any door: "room/room.h"
$(BUILD)/tests/%: tests/%.c $(BUILD)/libsparsam.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -Isrc -Itests -o $@ $< $(BUILD)/libsparsam.a $(shell pkg-config --libs cmocka) $(LIBS)

unit: $(TESTS)
	@for t in $(TESTS); do echo "== $$t"; $$t || exit 1; done

asan:
	$(MAKE) unit BUILD=build-asan OPT=-O1 SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

clean:
	rm -rf build build-*

.PHONY: all unit asan clean
-include $(OBJ:.o=.d) $(CLIOBJ:.o=.d)
