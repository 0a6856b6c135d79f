fit.o: src/bits/fit.c src/bits/fit.h src/bits/bits.h \
 src/bits/../base/base.h src/bits/../base/option.h \
 src/bits/../base/base.h src/bits/../base/pool.h src/bits/../base/event.h \
 src/bits/../graph/graph.h src/bits/../graph/../base/base.h \
 src/bits/../graph/../cost/cost.h \
 src/bits/../graph/../cost/../base/base.h \
 src/bits/../graph/../kernel/kernel.h \
 src/bits/../graph/../kernel/../base/base.h \
 src/bits/../graph/../kernel/args.h src/bits/../judge/judge.h \
 src/bits/../judge/../base/base.h src/bits/../judge/../data/data.h \
 src/bits/../judge/../data/../base/base.h \
 src/bits/../judge/../data/../text/text.h \
 src/bits/../judge/../data/../text/../base/base.h \
 src/bits/../judge/../file/file.h \
 src/bits/../judge/../file/../base/base.h \
 src/bits/../judge/../step/step.h \
 src/bits/../judge/../step/../base/base.h \
 src/bits/../judge/../step/../cost/cost.h \
 src/bits/../judge/../step/../graph/graph.h \
 src/bits/../judge/../step/../model/model.h \
 src/bits/../judge/../step/../model/../base/base.h \
 src/bits/../judge/../step/../model/../file/file.h \
 src/bits/../judge/../step/../model/../graph/graph.h \
 src/bits/../judge/../step/../model/../text/text.h \
 src/bits/../judge/../step/../recipe/recipe.h \
 src/bits/../judge/../step/../recipe/../base/base.h \
 src/bits/../judge/../step/../recipe/../model/model.h \
 src/bits/../judge/../step/../recipe/technique.h \
 src/bits/../model/model.h src/bits/../step/step.h
src/bits/fit.h:
src/bits/bits.h:
src/bits/../base/base.h:
src/bits/../base/option.h:
src/bits/../base/base.h:
src/bits/../base/pool.h:
src/bits/../base/event.h:
src/bits/../graph/graph.h:
src/bits/../graph/../base/base.h:
src/bits/../graph/../cost/cost.h:
src/bits/../graph/../cost/../base/base.h:
src/bits/../graph/../kernel/kernel.h:
src/bits/../graph/../kernel/../base/base.h:
src/bits/../graph/../kernel/args.h:
src/bits/../judge/judge.h:
src/bits/../judge/../base/base.h:
src/bits/../judge/../data/data.h:
src/bits/../judge/../data/../base/base.h:
src/bits/../judge/../data/../text/text.h:
src/bits/../judge/../data/../text/../base/base.h:
src/bits/../judge/../file/file.h:
src/bits/../judge/../file/../base/base.h:
src/bits/../judge/../step/step.h:
src/bits/../judge/../step/../base/base.h:
src/bits/../judge/../step/../cost/cost.h:
src/bits/../judge/../step/../graph/graph.h:
src/bits/../judge/../step/../model/model.h:
src/bits/../judge/../step/../model/../base/base.h:
src/bits/../judge/../step/../model/../file/file.h:
src/bits/../judge/../step/../model/../graph/graph.h:
src/bits/../judge/../step/../model/../text/text.h:
src/bits/../judge/../step/../recipe/recipe.h:
src/bits/../judge/../step/../recipe/../base/base.h:
src/bits/../judge/../step/../recipe/../model/model.h:
src/bits/../judge/../step/../recipe/technique.h:
src/bits/../model/model.h:
src/bits/../step/step.h:
