# Each target installs what it needs into the .venv* folders here, from the requirements.txt files.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
AWS_PORT ?= 5000
WEIGHTS ?= imagenet
MODEL ?= model
NEW ?= build/model
OLD ?= model

TRAINING_VENV = $(VENV)-training
SAM_VENV = $(VENV)-sam
AWS_CLI_VENV = $(VENV)-aws-cli
EMULATOR_VENV = $(VENV)-emulator
LOCK_VENV = $(VENV)-lock
# --no-deps: the files are complete, and old versions of pip refuse a dependency with extras whose line has none.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps

# Each lock comes after those that it builds on.
LOCKS = requirements local/requirements evaluation/requirements tests/requirements tests/browser/requirements \
  tests/mutation/requirements training/requirements benchmarks/requirements tests/sam-requirements \
  tests/aws-cli-requirements tests/deploy-requirements requirements-uv
# Dependabot reads these options from the header of each lock.
LOCK_OPTIONS = --universal --python-version 3.11 --generate-hashes

export PYTHONPATH = functions

.DEFAULT_GOAL := help
.PHONY: help run test check test-browser test-container test-deploy test-training stress mutation train evaluate \
  compare ship confirmed retrain verdicts bench bench-history bench-container bench-load bench-int8 costs scale \
  screenshots lock clean docker data

##@ Run

run: $(VENV)/.local ## Start the whole system on this machine; PORT=, AWS_PORT=, LOG=json and FAIL=name change it
	@exec $(VENV)/bin/python -m local --port "$(PORT)" --aws-port "$(AWS_PORT)" $(if $(LOG),--log "$(LOG)") \
	  $(if $(FAIL),--fail "$(FAIL)")

##@ Test

test: $(VENV)/.tests $(AWS_CLI_VENV)/.aws-cli ## Run the tests that need only Python
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.tests $(SAM_VENV)/.sam ## Run the linters, the type checker and the checks of the template
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM_VENV)/bin/sam validate --lint
	$(SAM_VENV)/bin/checkov --quiet --compact --skip-download --framework cloudformation dockerfile \
	  --file template.yaml functions/classifier/Dockerfile

test-browser: $(VENV)/.browser ## Test the pages and the decoded pixels in Chromium; PIXELS=folder compares your own photos
	$(VENV)/bin/python -m pytest tests/browser --numprocesses 2 --dist loadfile

test-container: docker $(VENV)/.tests $(SAM_VENV)/.sam ## Build the image and test it; needs Docker
	SAM=$(SAM_VENV)/bin/sam $(VENV)/bin/python -m pytest tests/container

test-deploy: docker $(VENV)/.tests $(SAM_VENV)/.sam $(AWS_CLI_VENV)/.aws-cli $(EMULATOR_VENV)/.emulator ## Deploy to an emulator of AWS; needs Docker
	SAM=$(SAM_VENV)/bin/sam AWS_CLI=$(AWS_CLI_VENV)/bin/aws EMULATOR_PYTHON=$(EMULATOR_VENV)/bin/python \
	  $(VENV)/bin/python -m pytest tests/deploy

test-training: $(TRAINING_VENV)/.training ## Run the tests that need TensorFlow
	$(TRAINING_VENV)/bin/python -m pytest tests/training

stress: $(VENV)/.tests ## Run the stress tests at full length
	$(VENV)/bin/python -m pytest tests/stress --whole --numprocesses 2 --dist worksteal

mutation: $(VENV)/.mutation ## Change the code in small ways, and report the changes that no test notices
	$(VENV)/bin/python -m tests.mutation

##@ Train and measure the model

TRAIN_OPTIONS = $(if $(QUICK),--quick) $(if $(RECIPE),--recipe "$(RECIPE)") --weights "$(WEIGHTS)"

train: data $(TRAINING_VENV)/.training ## Train a model on the photos in DATA=, into build/model; QUICK=1, OUT=, RECIPE=, WEIGHTS= change it
	$(TRAINING_VENV)/bin/python -m training --data "$(DATA)" $(TRAIN_OPTIONS) --out "$(or $(OUT),build/model)"

evaluate: data $(VENV)/.evaluation ## Measure a model on the photos in DATA=, and write a page; MODEL= and OUT= change the folders
	$(VENV)/bin/python -m evaluation.evaluate --model "$(MODEL)" --data "$(DATA)" --out "$(or $(OUT),build/evaluation)"

compare: $(VENV)/.evaluation ## Compare the model in NEW= with that in OLD= on the photos in DATA=, and write a page
	$(VENV)/bin/python -m evaluation.compare --new "$(NEW)" --old "$(OLD)" $(if $(DATA),--data "$(DATA)") \
	  --out "$(or $(OUT),build/comparison)"

ship: $(VENV)/.evaluation ## Put the model in NEW= into model/ if it is no worse; DATA= names photos, FORCE=1 ignores what is worse
	$(VENV)/bin/python -m evaluation.ship --new "$(NEW)" --old "$(OLD)" $(if $(DATA),--data "$(DATA)") $(if $(FORCE),--force)

confirmed: $(VENV)/.evaluation ## Write the photos with confirmed labels into OUT=; BY="shop seller" counts sellers' answers, too
	$(VENV)/bin/python -m training.export_confirmed "$(or $(OUT),build/confirmed)" $(if $(BY),--by $(BY))

# The photos come first: TensorFlow is installed only if there are any. A comparison that fails does not hide the model.
retrain: data ## Train on the photos in DATA= and the confirmed ones, and compare with model/; QUICK=1, OUT=, BY= change it
	@$(MAKE) --no-print-directory confirmed OUT=build/confirmed
	@$(MAKE) --no-print-directory --silent $(TRAINING_VENV)/.training
	$(TRAINING_VENV)/bin/python -m training --data "$(DATA)" --data build/confirmed $(TRAIN_OPTIONS) \
	  --out "$(or $(OUT),build/model)"
	@$(MAKE) --no-print-directory compare DATA= NEW="$(or $(OUT),build/model)" OUT=build/comparison; status=$$?; \
	  echo 'If it is better, put it into model/: make ship NEW="$(or $(OUT),build/model)"'; exit $$status

verdicts: data $(VENV)/.tests ## Measure the verdicts on listings of the photos in DATA=, and write benchmarks/verdicts.md
	$(VENV)/bin/python -m benchmarks.verdicts "$(DATA)"

bench: $(TRAINING_VENV)/.bench ## Compare its speed with other solutions, and write benchmarks/README.md; PHOTOS= adds photos
	$(TRAINING_VENV)/bin/python -m benchmarks $(if $(PHOTOS),--photos "$(PHOTOS)")

bench-history: | $(VENV)/bin/python ## Show how the ratios of `make bench` changed since the release before
	@$(VENV)/bin/python -m benchmarks.history

bench-container: docker $(TRAINING_VENV)/.bench $(SAM_VENV)/.sam ## Time the image at several memory sizes; needs Docker
	$(SAM_VENV)/bin/sam build
	EMULATOR=$$($(SAM_VENV)/bin/python -c 'import samcli.local as s; print(s.__path__[0])')/rapid/aws-lambda-rie-x86_64 \
	  $(TRAINING_VENV)/bin/python -m benchmarks.memory_sizes

bench-load: $(TRAINING_VENV)/.bench ## Measure how long clients wait on the local system, into benchmarks/load.json
	$(TRAINING_VENV)/bin/python -m benchmarks.load

bench-int8: data $(TRAINING_VENV)/.bench ## Compare int8 with float16 by the folds of the run in RUN=, and write benchmarks/int8.md
	$(TRAINING_VENV)/bin/python -m benchmarks.int8 "$(RUN)" --data "$(DATA)"

scale: $(VENV)/.tests ## Simulate up to 10,000 photos a second, and write docs/scale.md
	$(VENV)/bin/python -m benchmarks.scale_page

costs: $(VENV)/.tests ## Compute costs and limits from measured figures and benchmarks/prices.toml, into docs/operations.md
	$(VENV)/bin/python -m benchmarks.usage
	$(VENV)/bin/python -m benchmarks.costs

##@ Maintain

lock: $(LOCK_VENV)/.uv ## Write each requirements.txt from its requirements.in; UPGRADE=1 updates indirect dependencies
	@for name in $(LOCKS); do \
	  echo "Locking $$name.in …"; \
	  $(LOCK_VENV)/bin/uv pip compile --quiet $(LOCK_OPTIONS) --python $(LOCK_VENV)/bin/python $(if $(UPGRADE),--upgrade) \
	    --custom-compile-command "make lock # uv pip compile $(LOCK_OPTIONS)" --output-file $$name.txt $$name.in || exit 1; \
	done

screenshots: $(VENV)/.browser ## Take the screenshots of the pages again
	$(VENV)/bin/python -m pytest tests/browser --screenshots --numprocesses 0

help: ## List the targets
	@awk -F ':.*## ' '/^##@/ {print (n++ ? "\n" : "") substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

clean: ## Remove what these targets installed and built
	rm -rf $(VENV) $(TRAINING_VENV) $(SAM_VENV) $(AWS_CLI_VENV) $(EMULATOR_VENV) $(LOCK_VENV) build .aws-sam

docker:
	@docker info >/dev/null 2>&1 || { \
	  echo "Docker does not respond, and this target needs it. Install it or start it."; exit 1; }

# Before the installation: the training packages need 3.4 GB.
data:
	@test -n "$(DATA)" || { \
	  echo "Set DATA to the folder of the photos: make $(MAKECMDGOALS) DATA=folder. docs/training.md describes the folder."; exit 1; }
	@test -d "$(DATA)" || { echo "There is no folder $(DATA)."; exit 1; }

# The stamp of each environment is written last, so that the next run repeats an installation that did not finish.

$(VENV)/.local: local/requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.evaluation: evaluation/requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.tests: tests/requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.browser: tests/browser/requirements.txt $(VENV)/.tests
	@$(VENV)/bin/python $(PIP_INSTALL) -r $<
	@command -v chromium >/dev/null || $(VENV)/bin/python -m playwright install --with-deps chromium
	@touch $@

$(VENV)/.mutation: tests/mutation/requirements.txt $(VENV)/.tests
	@$(VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(TRAINING_VENV)/.training: training/requirements.txt | $(TRAINING_VENV)/bin/python
	@echo "Installing TensorFlow into $(TRAINING_VENV) …"
	@$(TRAINING_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(TRAINING_VENV)/.bench: benchmarks/requirements.txt $(TRAINING_VENV)/.training
	@$(TRAINING_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(SAM_VENV)/.sam: tests/sam-requirements.txt | $(SAM_VENV)/bin/python
	@echo "Installing the SAM CLI into $(SAM_VENV) …"
	@$(SAM_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(AWS_CLI_VENV)/.aws-cli: tests/aws-cli-requirements.txt | $(AWS_CLI_VENV)/bin/python
	@echo "Installing the AWS CLI into $(AWS_CLI_VENV) …"
	@$(AWS_CLI_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(EMULATOR_VENV)/.emulator: tests/deploy-requirements.txt | $(EMULATOR_VENV)/bin/python
	@echo "Installing an emulator of AWS into $(EMULATOR_VENV) …"
	@$(EMULATOR_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(LOCK_VENV)/.uv: requirements-uv.txt | $(LOCK_VENV)/bin/python
	@$(LOCK_VENV)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/bin/python $(TRAINING_VENV)/bin/python $(SAM_VENV)/bin/python $(AWS_CLI_VENV)/bin/python \
$(EMULATOR_VENV)/bin/python $(LOCK_VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) on this machine. Install Python 3.11 or later, or name yours: make $(MAKECMDGOALS) PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old: Python 3.11 or later is needed. Name one: make $(MAKECMDGOALS) PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv --clear $(@D)/.. || { rm -rf $(@D)/..; \
	  echo "Python cannot make virtual environments here. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
