# Shared by the makefiles of functions/ and layers/: how to copy a package and compile its bytecode.

ifndef ARTIFACTS_DIR
$(error ARTIFACTS_DIR is not set: `sam build` sets it; by hand, `make build-NAME ARTIFACTS_DIR=...`)
endif

# Without bytecode each cold start compiles every module, because Lambda cannot store the result: 220
# ms to the first prediction instead of 98. Only Python 3.13 writes the bytecode that Lambda reads.
TARGET_PYTHON ?= $(shell \
	for python in python3.13 $(HOME)/.pyenv/versions/3.13.*/bin/python3.13; do \
		$$python -c 'import sys; print(sys.executable)' 2>/dev/null && break; \
	done)

# $(call copy,FROM,TO): the files of a package, without Python's cache and the makefile.
copy = mkdir -p "$(2)" && tar -cf - --exclude=__pycache__ --exclude=Makefile -C "$(1)" . \
	| tar -xf - -C "$(2)"

# $(call bytecode,FOLDER,ITS PATH IN LAMBDA): unchecked, so that Lambda reads no source file. With a
# fixed seed two builds of the same sources give the same bytes.
bytecode = $(if $(TARGET_PYTHON), \
	PYTHONHASHSEED=0 "$(TARGET_PYTHON)" -m compileall -q -s "$(1)" -p "$(2)" \
		--invalidation-mode unchecked-hash "$(1)", \
	@echo "No python3.13 here: built without bytecode, cold starts will take 0.1 s longer." >&2)
