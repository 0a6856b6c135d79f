quantize_fit.o: src/cli/quantize_fit.c src/cli/quantize.h \
 src/cli/../bits/bits.h src/cli/../bits/../base/base.h \
 src/cli/../bits/../base/option.h src/cli/../bits/../base/base.h \
 src/cli/../bits/../base/pool.h src/cli/../bits/../base/event.h \
 src/cli/../bits/../graph/graph.h src/cli/../bits/../graph/../base/base.h \
 src/cli/../bits/../graph/../cost/cost.h \
 src/cli/../bits/../graph/../cost/../base/base.h \
 src/cli/../bits/../graph/../kernel/kernel.h \
 src/cli/../bits/../graph/../kernel/../base/base.h \
 src/cli/../bits/../graph/../kernel/args.h \
 src/cli/../bits/../judge/judge.h src/cli/../bits/../judge/../base/base.h \
 src/cli/../bits/../judge/../data/data.h \
 src/cli/../bits/../judge/../data/../base/base.h \
 src/cli/../bits/../judge/../data/../text/text.h \
 src/cli/../bits/../judge/../data/../text/../base/base.h \
 src/cli/../bits/../judge/../file/file.h \
 src/cli/../bits/../judge/../file/../base/base.h \
 src/cli/../bits/../judge/../step/step.h \
 src/cli/../bits/../judge/../step/../base/base.h \
 src/cli/../bits/../judge/../step/../cost/cost.h \
 src/cli/../bits/../judge/../step/../graph/graph.h \
 src/cli/../bits/../judge/../step/../model/model.h \
 src/cli/../bits/../judge/../step/../model/../base/base.h \
 src/cli/../bits/../judge/../step/../model/../file/file.h \
 src/cli/../bits/../judge/../step/../model/../graph/graph.h \
 src/cli/../bits/../judge/../step/../model/../text/text.h \
 src/cli/../bits/../judge/../step/../recipe/recipe.h \
 src/cli/../bits/../judge/../step/../recipe/../base/base.h \
 src/cli/../bits/../judge/../step/../recipe/../model/model.h \
 src/cli/../bits/../judge/../step/../recipe/technique.h \
 src/cli/../bits/../model/model.h src/cli/../bits/../step/step.h \
 src/cli/eval.h src/cli/work.h src/cli/../data/data.h \
 src/cli/../infer/infer.h src/cli/../infer/../base/base.h \
 src/cli/../infer/../model/model.h src/cli/../infer/../recipe/recipe.h \
 src/cli/../infer/../step/step.h src/cli/../infer/../text/text.h \
 src/cli/../judge/judge.h src/cli/../learn/learn.h \
 src/cli/../learn/../base/base.h src/cli/../learn/../data/data.h \
 src/cli/../learn/../judge/judge.h src/cli/../learn/../link/link.h \
 src/cli/../learn/../link/../base/base.h \
 src/cli/../learn/../recipe/recipe.h src/cli/../learn/../step/step.h \
 src/cli/../link/link.h src/cli/../plan/plan.h \
 src/cli/../plan/../base/base.h src/cli/../plan/../cost/cost.h \
 src/cli/../plan/../step/step.h src/cli/../recipe/recipe.h \
 src/cli/../step/step.h src/cli/book.h src/cli/../cost/cost.h \
 src/cli/../ledger/ledger.h src/cli/../ledger/../base/base.h \
 src/cli/../ledger/../cost/cost.h src/cli/../ledger/../file/file.h \
 src/cli/../meter/meter.h src/cli/../meter/../base/base.h \
 src/cli/../meter/../cost/cost.h src/cli/verb.h src/cli/../base/base.h
src/cli/quantize.h:
src/cli/../bits/bits.h:
src/cli/../bits/../base/base.h:
src/cli/../bits/../base/option.h:
src/cli/../bits/../base/base.h:
src/cli/../bits/../base/pool.h:
src/cli/../bits/../base/event.h:
src/cli/../bits/../graph/graph.h:
src/cli/../bits/../graph/../base/base.h:
src/cli/../bits/../graph/../cost/cost.h:
src/cli/../bits/../graph/../cost/../base/base.h:
src/cli/../bits/../graph/../kernel/kernel.h:
src/cli/../bits/../graph/../kernel/../base/base.h:
src/cli/../bits/../graph/../kernel/args.h:
src/cli/../bits/../judge/judge.h:
src/cli/../bits/../judge/../base/base.h:
src/cli/../bits/../judge/../data/data.h:
src/cli/../bits/../judge/../data/../base/base.h:
src/cli/../bits/../judge/../data/../text/text.h:
src/cli/../bits/../judge/../data/../text/../base/base.h:
src/cli/../bits/../judge/../file/file.h:
src/cli/../bits/../judge/../file/../base/base.h:
src/cli/../bits/../judge/../step/step.h:
src/cli/../bits/../judge/../step/../base/base.h:
src/cli/../bits/../judge/../step/../cost/cost.h:
src/cli/../bits/../judge/../step/../graph/graph.h:
src/cli/../bits/../judge/../step/../model/model.h:
src/cli/../bits/../judge/../step/../model/../base/base.h:
src/cli/../bits/../judge/../step/../model/../file/file.h:
src/cli/../bits/../judge/../step/../model/../graph/graph.h:
src/cli/../bits/../judge/../step/../model/../text/text.h:
src/cli/../bits/../judge/../step/../recipe/recipe.h:
src/cli/../bits/../judge/../step/../recipe/../base/base.h:
src/cli/../bits/../judge/../step/../recipe/../model/model.h:
src/cli/../bits/../judge/../step/../recipe/technique.h:
src/cli/../bits/../model/model.h:
src/cli/../bits/../step/step.h:
src/cli/eval.h:
src/cli/work.h:
src/cli/../data/data.h:
src/cli/../infer/infer.h:
src/cli/../infer/../base/base.h:
src/cli/../infer/../model/model.h:
src/cli/../infer/../recipe/recipe.h:
src/cli/../infer/../step/step.h:
src/cli/../infer/../text/text.h:
src/cli/../judge/judge.h:
src/cli/../learn/learn.h:
src/cli/../learn/../base/base.h:
src/cli/../learn/../data/data.h:
src/cli/../learn/../judge/judge.h:
src/cli/../learn/../link/link.h:
src/cli/../learn/../link/../base/base.h:
src/cli/../learn/../recipe/recipe.h:
src/cli/../learn/../step/step.h:
src/cli/../link/link.h:
src/cli/../plan/plan.h:
src/cli/../plan/../base/base.h:
src/cli/../plan/../cost/cost.h:
src/cli/../plan/../step/step.h:
src/cli/../recipe/recipe.h:
src/cli/../step/step.h:
src/cli/book.h:
src/cli/../cost/cost.h:
src/cli/../ledger/ledger.h:
src/cli/../ledger/../base/base.h:
src/cli/../ledger/../cost/cost.h:
src/cli/../ledger/../file/file.h:
src/cli/../meter/meter.h:
src/cli/../meter/../base/base.h:
src/cli/../meter/../cost/cost.h:
src/cli/verb.h:
src/cli/../base/base.h:
