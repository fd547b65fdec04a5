# `make up` runs the service on this machine, `make test` runs all tests, and `make help` lists all targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PYTHONPATH := $(CURDIR):$(CURDIR)/layers/clickbait/python
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip does not repeat a download that pauses for 15 s, which a busy machine does.
export PIP_DEFAULT_TIMEOUT ?= 120
export PIP_RETRIES ?= 10
export npm_config_fetch_retries ?= 5
export SAM_CLI_TELEMETRY := 0

# The newest Python from 3.11 to 3.13 that starts (the shim of a version manager may not).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

RUN := .venv/bin/python
TRAINING := training/.venv/bin/python

# The built page depends on these; its types come from openapi.json.
PAGE_SOURCES := openapi.json $(shell find frontend \( -name node_modules -o -name dist \) -prune -o -type f -print)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 15

up: needs .venv/up.done frontend/dist/.done ## run the whole service on this machine: http://127.0.0.1:8080 (Ctrl-C stops it)
	@exec $(RUN) -m local up

serve: .venv/up.done ## run the API alone, without AWS or an emulator (HOST, PORT, WORKERS, MODEL_PATH ...)
	@exec $(RUN) -m local.serve

site: frontend/dist/.done ## build the page

train: training/.venv/done ## train a model: make train DATA=folder OUT=folder [ARGS="--epochs 10"]
	@: $${DATA:?names the folder with clickbait_fake/ and clickbait_real/} $${OUT:?names the new folder of the version}
	@exec $(TRAINING) -m training.train --data "$(DATA)" --out "$(OUT)" $(ARGS)

notebook: training/.venv/done ## run training/notebook.ipynb: make notebook DATA=folder [OUT=folder ARGS="--epochs 3"]
	@: $${DATA:?names the folder with clickbait_fake/ and clickbait_real/}
	@exec $(TRAINING) -m training.notebook --data "$(DATA)" $(ARGS) \
		--out "$(or $(OUT),.local/notebook/$(shell date +%Y%m%d-%H%M%S))"

retrain: .venv/up.done ## start a training run on the running service and follow it [ARGS="--epochs 3 --url https://..."]
	@exec $(RUN) -m ops retrain $(ARGS)

replay: .venv/up.done ## move dead letters back to their queue [ARGS="--queue URL --dead-letters URL"]
	@exec $(RUN) -m ops replay $(ARGS)

ship: training/.venv/done ## make VERSION=folder, trained on DATA=folder, the baseline, without contact sheets of users' images
	@: $${VERSION:?names the folder of a finished version} $${DATA:?names the folder with its images}
	@test -f "$(VERSION)/metadata.json"
	test -f "$(VERSION)/world.npz" || $(TRAINING) -m training.replay --data "$(DATA)" --version "$(VERSION)"
	rm -rf training/baseline && mkdir -p layers/baseline/baseline training/baseline/plots
	cp "$(VERSION)"/model.tflite "$(VERSION)"/replay.npz "$(VERSION)"/{metadata,reference,evaluation}.json layers/baseline/baseline/
	cp "$(VERSION)"/{metrics,history}.json "$(VERSION)"/manifest.csv "$(VERSION)"/{weights,world}.npz training/baseline/
	cp "$(VERSION)"/plots/*.png training/baseline/plots/ && rm -f training/baseline/plots/mistakes.png
	cat "$(VERSION)"/card.md training/collections.md > MODEL_CARD.md

# The first three run side by side: each has times when it keeps one core alone busy.
test: needs ## run all tests; installs what they need
	@$(MAKE) --no-print-directory -j 2 lint test-site test-python
	@$(MAKE) --no-print-directory test-training
	@$(MAKE) --no-print-directory test-service

lint: .venv/test.done
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy layers/clickbait/python/clickbait functions local ops
	.venv/bin/lint-imports

test-python: .venv/test.done ## unit and integration tests
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration tests/unit

test-site: frontend/dist/.done ## lint and unit tests of the page, without a browser
	cd frontend && npm run lint && npm test

test-training: training/.venv/done ## tests of training, on drawn images
	$(TRAINING) -m pytest -n 2 --dist worksteal tests/training

test-template: .venv/test.done .venv-ops/done .venv-template/done ## tests of the template and its build
	$(RUN) -m pytest tests/template

test-stack: .venv/test.done training/.venv/done frontend/dist/.done ## tests on a running local stack
	$(RUN) -m pytest tests/end_to_end

# Finds or installs both browsers; a failure of either script ends the recipe.
BROWSERS := export CHROMIUM FIREFOX && CHROMIUM="$$(tests/browser/chromium.sh)" && FIREFOX="$$(tests/browser/firefox.sh)"

test-browser: .venv/test.done frontend/dist/.done ## tests of the page in Chromium, some in Firefox too; installs them if missing
	@$(BROWSERS) && $(RUN) -m pytest tests/browser

test-firefox: .venv/test.done training/.venv/done frontend/dist/.done ## the tests of classify, batch, models and navigation, all in Firefox
	@$(BROWSERS) && ENGINE=firefox $(RUN) -m pytest $(FIREFOX_FILES)

# The files that take longest come first, so that all workers end together. Each file is named, because pytest ignores
# the order of overlapping folders.
LONG_FILES := tests/end_to_end/test_retraining.py tests/browser/test_models.py tests/template/test_build.py
SERVICE_FILES := $(LONG_FILES) $(filter-out $(LONG_FILES),$(wildcard $(addsuffix /test_*.py,tests/end_to_end tests/browser tests/template)))

# A file stays with one worker; each worker has one stack. Three workers keep two cores busy, because tests of the
# service spend much of their time waiting.
test-service: .venv/test.done .venv-ops/done .venv-template/done training/.venv/done frontend/dist/.done ## test-template, test-stack and test-browser in parallel
	@$(BROWSERS) && $(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(SERVICE_FILES)

FIREFOX_FILES := $(patsubst %,tests/browser/test_%.py,classify batch models failures)

contract: .venv/test.done .venv-contract/done frontend/dist/.done ## test the API against openapi.json with valid and invalid requests; 5 to 15 minutes [ARGS]
	@exec $(RUN) -m tests.contract.run $(ARGS)

soak: .venv/test.done training/.venv/done frontend/dist/.done ## slow tests: killed trainings and starts, 5,000 files, an hour of mixed load [SOAK_MINUTES=60]
	$(RUN) -m pytest -s tests/soak

test-containers: .venv/test.done ## build the image of containers/ with buildah and run it; 3 minutes [BASE_IMAGE NODE_IMAGE BUILD_OPTIONS]
	$(RUN) -m pytest tests/containers

deploy: .venv-ops/done ## build and deploy to AWS: stack, page, training image; delete old versions [ARGS=--help]
	@exec .venv-ops/bin/python -m ops deploy $(ARGS)

openapi: .venv/up.done ## write openapi.json
	$(RUN) -m functions.openapi openapi.json

bench: .venv/test.done training/.venv/done .venv-peers/done ## compare the speed with a bare loop, the seed and peers [ARGS]
	$(RUN) loadtest/bench.py $(ARGS)

loadtest: .venv/up.done .venv-load/done ## load test: make loadtest USERS=100 MINUTES=3 [HOST=http://... RAMP=s WORKERS=n BEHIND=n]
	@.venv-load/bin/python loadtest/report.py --users $(or $(USERS),100) --minutes $(or $(MINUTES),3) \
		$(if $(RAMP),--ramp $(RAMP)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(BEHIND),--behind $(BEHIND)) \
		$(if $(findstring command,$(origin HOST)),--host $(HOST))

lighthouse: loadtest/lighthouse/node_modules/.done ## Lighthouse on each page that `make up` serves; 5 minutes [SITE="http://... http://..." RUNS=5 PAGES="/ /classify"]
	@export CHROMIUM && CHROMIUM="$$(tests/browser/chromium.sh)" && SITE="$(SITE)" RUNS=$(RUNS) PAGES="$(PAGES)" node loadtest/lighthouse/run.mjs

screenshots: .venv/test.done training/.venv/done frontend/dist/.done ## take the README's screenshots [ARGS="--everything"]
	@export CHROMIUM && CHROMIUM="$$(tests/browser/chromium.sh)" && $(RUN) -m tests.browser.screenshots \
		frontend/screenshots --photos $$(echo training/.venv/lib/python3*/site-packages/sklearn/datasets/images) $(ARGS)

# The layer's packages run on AWS and .venv-ops uses the AWS keys: their lock files have hashes. The
# functions and the local stack get the versions that the tests have.
PIN := .venv/bin/pip-compile --quiet --upgrade --allow-unsafe --no-header --no-emit-options --annotation-style line \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: .venv/test.done ## resolve every requirements.in to the newest versions
	$(RUN) -m pip install --quiet pip-tools
	$(PIN) --output-file tests/requirements.txt tests/requirements.in
	$(PIN) --constraint tests/requirements.txt --output-file local/requirements.txt local/requirements.in
	$(PIN) --constraint tests/requirements.txt --generate-hashes \
		--output-file layers/dependencies/requirements.txt layers/dependencies/requirements.in
	$(PIN) --constraint tests/requirements.txt --generate-hashes \
		--output-file containers/requirements.txt containers/requirements.in
	$(PIN) --generate-hashes --output-file ops/requirements.txt ops/requirements.in
	for room in training tests/template tests/contract loadtest loadtest/peers; do \
		$(PIN) --output-file $$room/requirements.txt $$room/requirements.in || exit 1; done
	$(RUN) -m tests.platforms mark training/requirements.txt

test-platforms: .venv/test.done ## resolve the lock files for other machines; 5 minutes, needs the package index
	$(RUN) -m tests.platforms resolve

clean: ## remove environments and build outputs; keeps .local
	rm -rf .venv .venv-ops .venv-template .venv-peers .venv-load .venv-contract training/.venv .aws-sam .pytest_cache .mypy_cache .ruff_cache
	rm -rf frontend/node_modules frontend/dist loadtest/lighthouse/node_modules

# $(call environment,FOLDER,LOCK FILE,OPTIONS OF pip): an environment is updated when its lock file
# changes; its stamp is written last. With hashes pip must not resolve dependencies: for it, the locked
# boto3 does not satisfy boto3[crt].
define environment
	@local/needs.sh python "$(PYTHON)"
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	@echo "installing $(2) into $(1)"; $(1)/bin/python -m pip install --quiet $(3) -r $(2)
	@$(1)/bin/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), \
		"library.pth").write_text("$(CURDIR)/layers/clickbait/python\n")'
	@touch $@
endef

# Before the first download, so that nobody waits for Python's packages to learn that Node is missing.
needs:
	@test -e .venv/up.done || local/needs.sh python "$(PYTHON)"
	@test -e frontend/dist/.done || local/needs.sh node $(OLDEST_NODE)

.venv/up.done: local/requirements.txt
	$(call environment,.venv,local/requirements.txt)
.venv/test.done: tests/requirements.txt .venv/up.done
	$(call environment,.venv,tests/requirements.txt)
.venv-ops/done: ops/requirements.txt
	$(call environment,.venv-ops,ops/requirements.txt,--no-deps --require-hashes)
.venv-template/done: tests/template/requirements.txt
	$(call environment,.venv-template,tests/template/requirements.txt)
.venv-peers/done: loadtest/peers/requirements.txt
	$(call environment,.venv-peers,loadtest/peers/requirements.txt)
.venv-contract/done: tests/contract/requirements.txt
	$(call environment,.venv-contract,tests/contract/requirements.txt)
.venv-load/done: loadtest/requirements.txt
	$(call environment,.venv-load,loadtest/requirements.txt)
training/.venv/done: training/requirements.txt
	$(call environment,training/.venv,training/requirements.txt)

# 20.19, not 22: build machines still have Node 20 (frontend/README.md, "Versions held back").
OLDEST_NODE := $(shell sed -n 's/.*"node": ">=\(.*\)".*/\1/p' frontend/package.json)

# Install exactly what package-lock.json of $(1) says.
define packages
	@local/needs.sh node $(OLDEST_NODE)
	@echo "installing $(1)/package-lock.json into $(1)/node_modules"; cd $(1) && npm ci --loglevel=error
	@touch $@
endef

frontend/node_modules/.done: frontend/package.json frontend/package-lock.json frontend/.npmrc
	$(call packages,frontend)
loadtest/lighthouse/node_modules/.done: loadtest/lighthouse/package.json loadtest/lighthouse/package-lock.json
	$(call packages,loadtest/lighthouse)
frontend/dist/.done: frontend/node_modules/.done $(PAGE_SOURCES)
	@cd frontend && npm run --silent build
	@touch $@

.PHONY: help needs up serve site train notebook retrain replay ship test lint test-python test-site test-training test-template test-stack test-browser test-firefox test-service test-containers contract soak test-platforms deploy openapi bench loadtest lighthouse screenshots lock clean
