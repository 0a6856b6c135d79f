loss.o: src/graph/loss.c src/graph/graph.h src/graph/../base/base.h \
 src/graph/../base/option.h src/graph/../base/base.h \
 src/graph/../base/pool.h src/graph/../base/event.h \
 src/graph/../cost/cost.h src/graph/../cost/../base/base.h \
 src/graph/../kernel/kernel.h src/graph/../kernel/../base/base.h \
 src/graph/../kernel/args.h src/graph/ops.h
src/graph/graph.h:
src/graph/../base/base.h:
src/graph/../base/option.h:
src/graph/../base/base.h:
src/graph/../base/pool.h:
src/graph/../base/event.h:
src/graph/../cost/cost.h:
src/graph/../cost/../base/base.h:
src/graph/../kernel/kernel.h:
src/graph/../kernel/../base/base.h:
src/graph/../kernel/args.h:
src/graph/ops.h:
