# `make run` and `make test` do all the set-up that they need, in folders .venv* of this one.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
AWS_PORT ?= 5000
WEIGHTS ?= imagenet
RUN ?= build/training

TRAINING_VENV = $(VENV)-training
SAM_VENV = $(VENV)-sam
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

export PYTHONPATH = functions

.PHONY: run test stress check test-training test-container test-browser screenshots docker train evaluate bench bench-container clean

run: $(VENV)/.local ## the whole system on this machine
	@$(VENV)/bin/python -m local --port $(PORT) --aws-port $(AWS_PORT)

test: $(VENV)/.tests ## all tests but those that need TensorFlow
	$(VENV)/bin/python -m pytest

stress: $(VENV)/.tests ## the tests that try to break it, at their whole length
	$(VENV)/bin/python -m pytest tests/stress --whole --numprocesses 2 --dist worksteal

check: $(VENV)/.tests $(SAM_VENV)/.sam ## linters, types, template
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM_VENV)/bin/sam validate --lint
	$(SAM_VENV)/bin/checkov --quiet --compact --skip-download --framework cloudformation dockerfile \
	  --file template.yaml functions/classifier/Dockerfile

test-training: $(TRAINING_VENV)/.training ## the tests that need TensorFlow
	$(TRAINING_VENV)/bin/python -m pytest tests/training

test-container: docker $(VENV)/.tests $(SAM_VENV)/.sam ## builds the image and runs it; needs Docker
	SAM=$(SAM_VENV)/bin/sam $(VENV)/bin/python -m pytest tests/container

test-browser: $(VENV)/.browser ## opens the seller's page in Chromium, and tries it
	$(VENV)/bin/python -m pytest tests/browser

screenshots: $(VENV)/.browser ## draws the README's picture anew
	$(VENV)/bin/python -m pytest tests/browser --screenshots --numprocesses 0

train: $(TRAINING_VENV)/.training ## trains, converts, evaluates; writes model/
	@test -n "$(DATA)" || { echo "Say where the photos are: make train DATA=folder, with train/ and test/ in it."; exit 1; }
	$(TRAINING_VENV)/bin/python -m training.train --data "$(DATA)" --weights "$(WEIGHTS)" --run $(RUN)
	$(TRAINING_VENV)/bin/python -m training.convert --data "$(DATA)" --run $(RUN)
	$(TRAINING_VENV)/bin/python -m training.variants --data "$(DATA)" --run $(RUN)
	$(TRAINING_VENV)/bin/python -m training.publish --data "$(DATA)" --run $(RUN)

evaluate: $(TRAINING_VENV)/.training ## measures model/ on a folder of label folders
	@test -n "$(DATA)" || { echo "Say where the photos are: make evaluate DATA=folder, with a folder for each label."; exit 1; }
	$(TRAINING_VENV)/bin/python -m training.evaluate --data "$(DATA)" --report build/report

bench: $(TRAINING_VENV)/.bench ## times everything beside other ways; writes benchmarks/README.md
	$(TRAINING_VENV)/bin/python -m benchmarks $(if $(PHOTOS),--photos "$(PHOTOS)")

bench-container: docker $(TRAINING_VENV)/.bench $(SAM_VENV)/.sam ## times the image at several memory sizes; needs Docker
	$(SAM_VENV)/bin/sam build
	EMULATOR=$$($(SAM_VENV)/bin/python -c 'import samcli.local as s; print(s.__path__[0])')/rapid/aws-lambda-rie-x86_64 \
	  $(TRAINING_VENV)/bin/python -m benchmarks.memory_sizes

clean: ## removes what the commands above installed and built
	rm -rf $(VENV) $(TRAINING_VENV) $(SAM_VENV) build .aws-sam

docker:
	@docker info >/dev/null 2>&1 || { \
	  echo "Docker does not answer, and without it nothing is tested here. Install it, or start it."; exit 1; }

$(VENV)/.local: requirements.txt constraints.txt local/requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python $(PIP_INSTALL) -r local/requirements.txt
	@touch $@

$(VENV)/.tests: requirements.txt constraints.txt local/requirements.txt tests/requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python $(PIP_INSTALL) -r tests/requirements.txt
	@touch $@

$(VENV)/.browser: tests/browser/requirements.txt $(VENV)/.tests
	@$(VENV)/bin/python $(PIP_INSTALL) -r tests/browser/requirements.txt
	@command -v chromium >/dev/null || $(VENV)/bin/python -m playwright install --with-deps chromium
	@touch $@

$(TRAINING_VENV)/.training: requirements.txt constraints.txt training/requirements.txt tests/requirements.txt | $(TRAINING_VENV)/bin/python
	@echo "Installing TensorFlow into $(TRAINING_VENV) …"
	@$(TRAINING_VENV)/bin/python $(PIP_INSTALL) -r training/requirements.txt -r tests/requirements.txt
	@touch $@

$(TRAINING_VENV)/.bench: benchmarks/requirements.txt $(TRAINING_VENV)/.training
	@$(TRAINING_VENV)/bin/python $(PIP_INSTALL) -r benchmarks/requirements.txt
	@touch $@

# On its own: what the SAM CLI and checkov pin does not go together with what is tested here.
$(SAM_VENV)/.sam: tests/sam-requirements.txt | $(SAM_VENV)/bin/python
	@echo "Installing the SAM CLI into $(SAM_VENV) …"
	@$(SAM_VENV)/bin/python $(PIP_INSTALL) -r tests/sam-requirements.txt
	@touch $@

$(VENV)/bin/python $(TRAINING_VENV)/bin/python $(SAM_VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) on this machine. Install Python 3.11 or later, or name yours: make PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old: Python 3.11 or later is needed. Name one: make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv --clear $(@D)/.. || { rm -rf $(@D)/..; \
	  echo "Python cannot make virtual environments here. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
