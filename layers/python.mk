# What the makefiles of functions/ and layers/ share: copying a package, its bytecode for Lambda.

ifndef ARTIFACTS_DIR
$(error ARTIFACTS_DIR is not set: `sam build` sets it; by hand, `make build-NAME ARTIFACTS_DIR=...`)
endif

# Without bytecode a cold start compiles every module again, since Lambda cannot store any: 220 ms
# to the first prediction, not 98. Only the target's own Python writes what it will read there.
TARGET_PYTHON ?= $(shell \
	for python in python3.13 $(HOME)/.pyenv/versions/3.13.*/bin/python3.13; do \
		$$python -c 'import sys; print(sys.executable)' 2>/dev/null && break; \
	done)

# $(call copy,FROM,TO): the files of a package, without what Python or make left there.
copy = mkdir -p "$(2)" && tar -cf - --exclude=__pycache__ --exclude=Makefile -C "$(1)" . \
	| tar -xf - -C "$(2)"

# $(call bytecode,FOLDER,ITS PATH IN LAMBDA): unchecked, so that Lambda looks at no source file; the
# fixed seed makes two builds of the same sources the same bytes.
bytecode = $(if $(TARGET_PYTHON), \
	PYTHONHASHSEED=0 "$(TARGET_PYTHON)" -m compileall -q -s "$(1)" -p "$(2)" \
		--invalidation-mode unchecked-hash "$(1)", \
	@echo "No python3.13 here: built without bytecode, cold starts will take 0.1 s longer." >&2)
