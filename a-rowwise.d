rowwise.o: src/kernel/rowwise.c src/kernel/elem.h \
 src/kernel/../cost/cost.h src/kernel/../cost/../base/base.h \
 src/kernel/../cost/../base/option.h src/kernel/../cost/../base/base.h \
 src/kernel/../cost/../base/pool.h src/kernel/../cost/../base/event.h \
 src/kernel/kernel.h src/kernel/../base/base.h src/kernel/args.h \
 src/kernel/embed.h src/kernel/portable/prelude.c \
 src/kernel/portable/load.c src/kernel/portable/math.c \
 src/kernel/portable/norm.c src/kernel/portable/softmax.c \
 src/kernel/portable/xent.c src/kernel/portable/soft.c \
 src/kernel/portable/embed.c
src/kernel/elem.h:
src/kernel/../cost/cost.h:
src/kernel/../cost/../base/base.h:
src/kernel/../cost/../base/option.h:
src/kernel/../cost/../base/base.h:
src/kernel/../cost/../base/pool.h:
src/kernel/../cost/../base/event.h:
src/kernel/kernel.h:
src/kernel/../base/base.h:
src/kernel/args.h:
src/kernel/embed.h:
src/kernel/portable/prelude.c:
src/kernel/portable/load.c:
src/kernel/portable/math.c:
src/kernel/portable/norm.c:
src/kernel/portable/softmax.c:
src/kernel/portable/xent.c:
src/kernel/portable/soft.c:
src/kernel/portable/embed.c:
