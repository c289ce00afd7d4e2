# make demo   train, export, verify and report on data that needs no download; minutes on two cores
# make test   every test of the program; make docs-tests   those of the pages: commands, examples, notebooks
# make lint, make types   what CI asks besides
# make docs   the site, in build/site, with every link checked; make docs-commands   the commands of pages that take long
# make dist   the wheel and the source distribution, in dist/, checked as the package index would
# make wheel-test   the built wheel, in an environment of its own without PyTorch: loads, runs and verifies networks
# make more-oracles   tests that `make test` skips: those against esda, NeuroBench, tonic and SANA-FE
# make gpu-script   benchmarks/gpu.py in sizes that a CPU runs in seconds: that every part of it runs
# make campaign   right answers and damaged input, tried at length; CAMPAIGN_ARGS=--quick for two minutes of it
# make results   docs/results.md's table of the ten commands from nothing: 2.4 GB of recordings, encoded, trained, exported,
#                verified; hours on a CPU, minutes on a GPU. RESULTS_ARGS='--jobs 12 --device cuda'
#
# Everything is installed into $(VENV), which is made if it is not there. PyTorch's default build for Linux brings
# CUDA along, which nothing here needs: to avoid it, make .venv yourself and install the CPU build there first, with
# the command that PyTorch's own page gives. PIP_ARGS is handed to every pip install.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=
CAMPAIGN_ARGS ?=
PIP_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
REQUIREMENTS := pyproject.toml constraints.txt

.PHONY: demo results test more-oracles gpu-script campaign lint types docs docs-tests docs-commands dist wheel-test clean distclean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/delaytool train digits -o demo/digits
	$(BIN)/delaytool export demo/digits --target loihi2
	$(BIN)/delaytool verify demo/digits/network-loihi2.h5 --against reference --torch --run demo/digits
	$(BIN)/delaytool report demo/digits -o demo/report.html
	@echo "The page is $(CURDIR)/demo/report.html"

STUDY := benchmarks/speech_study
RESULTS_ARGS ?=

results: $(VENV)/.installed-dev
	test -d results/speech || $(BIN)/delaytool data speech-commands -o results/speech
	test -d results/recordings || $(BIN)/python $(STUDY)/study.py select results/speech -o results/recordings
	test -f results/ten.h5 || $(BIN)/delaytool encode results/recordings -o results/ten.h5
	test -f results/packs/ten.pack || $(BIN)/python $(STUDY)/study.py pack --ten results/ten.h5 -o results/packs
	test -d results/data || $(BIN)/python $(STUDY)/study.py unpack results/packs -o results/data
	$(BIN)/python $(STUDY)/study.py rows --packs results/packs -o results/rows --stages compare $(RESULTS_ARGS)
	$(BIN)/python $(STUDY)/measure_networks.py results/rows/networks-*.tar --data results/data -o results/measured
	$(BIN)/python $(STUDY)/make_tables.py results/rows/results.jsonl --measured results/measured/measured.jsonl \
	  -o results/tables.md --picture results/delays.png
	@cat results/tables.md

# The workers are the parallelism: more threads in each only wait for one another.
test: $(VENV)/.installed-dev $(VENV)/.installed-brian2loihi $(VENV)/.installed-node
	OMP_NUM_THREADS=1 DELAYTOOL_BRIAN2LOIHI_PYTHON="$$(cat $(VENV)/.installed-brian2loihi)" \
	DELAYTOOL_NODE_MODULES="$$(cat $(VENV)/.installed-node)" \
	$(BIN)/python -m pytest -n $(WORKERS) --ignore=tests/docs $(PYTEST_ARGS)

# What lacks its oracle fails here, and is not skipped.
more-oracles: $(VENV)/.installed-more-oracles
	OMP_NUM_THREADS=1 DELAYTOOL_SKIPPED=fails DELAYTOOL_SANAFE_PYTHON="$$(cat $<)" $(BIN)/python -m pytest \
	  tests/analysis/test_morans_i.py tests/datasets/test_tonic_itself.py tests/mapping/test_energy.py tests/runtime/test_neurobench.py

gpu-script: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gpu.py -o build/gpu-script --device cpu --tiny

campaign: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/campaign $(CAMPAIGN_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Strict: a page that is not in the contents, or a link that leads nowhere, is an error. Executes the notebooks.
docs: $(VENV)/.installed-dev
	@$(BIN)/python -c 'import mkdocs' || { echo "the site needs Python 3.11 or later: make docs PYTHON=python3.11 VENV=.venv-docs"; exit 1; }
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	$(BIN)/python docs/check_links.py build/site
	@echo "The site is $(CURDIR)/build/site; to search in it: $(BIN)/python -m http.server -d build/site"

docs-tests: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) tests/docs

# What the pages' commands do that `make docs-tests` leaves out because it takes minutes.
docs-commands: $(VENV)/.installed-dev
	DELAYTOOL_DOCS_COMMANDS=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs/test_commands.py

dist: $(VENV)/.installed-release
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

# What a machine without PyTorch does with the package, tested on what is installed there: not on this checkout.
RIGHT_HALF := test_face.py test_without_torch.py contract/test_frames.py contract/test_limits.py \
  contract/test_network.py datasets/test_binner.py datasets/test_events.py datasets/test_in_memory.py \
  formats/test_netx.py runtime/test_decode.py runtime/test_golden.py runtime/test_reference.py runtime/test_stream.py \
  verification/test_compare.py verification/test_integers.py verification/test_verdict.py

wheel-test:
	rm -rf build/wheel-test
	mkdir -p build/wheel-test
	$(PYTHON) -m venv build/wheel-test/venv
	build/wheel-test/venv/bin/python -m pip wheel --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps \
	  --wheel-dir build/wheel-test .
	build/wheel-test/venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  -c constraints.txt build/wheel-test/*.whl pytest hypothesis
	cp -r tests docs build/wheel-test
	cd build/wheel-test && env -u PYTHONPATH venv/bin/python -c "import delaytool, importlib.util as find; \
	  assert 'site-packages' in delaytool.__file__ and not find.find_spec('torch'), delaytool.__file__"
	cd build/wheel-test/tests && env -u PYTHONPATH OMP_NUM_THREADS=1 ../venv/bin/python -m pytest -q \
	  --rootdir . -c /dev/null --import-mode=importlib -p no:cacheprovider $(RIGHT_HALF)

# A stamp is newer than what it was installed from, so a second call installs nothing.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[train,plots]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-oracles.txt requirements-lava.txt
	$(PIP) -c constraints.txt -e '.[dev,lava]'
	$(PIP) --no-deps -r requirements-oracles.txt
	$(PIP) --no-deps --ignore-requires-python -r requirements-lava.txt
	touch $@

$(VENV)/.installed-release: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) -c constraints.txt build twine
	touch $@

# Other interpreters that tests ask, each stamp holding where it is; empty where there can be none, and its tests skip.
# brian2-loihi needs numpy below 2, which has no build for Python 3.13.
$(VENV)/.installed-brian2loihi: requirements-brian2loihi.txt | $(BIN)/python
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
		$(BIN)/python -m venv $(VENV)/brian2loihi && \
		$(VENV)/brian2loihi/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r $< && \
		echo $(abspath $(VENV))/brian2loihi/bin/python > $@; \
	else : > $@; fi

# SANA-FE has an environment of its own for its license; the stamp holds its interpreter.
$(VENV)/.installed-more-oracles: $(VENV)/.installed-dev requirements-more-oracles.txt
	$(PIP) --no-deps -r requirements-more-oracles.txt
	$(BIN)/python -m venv $(VENV)/sanafe
	$(VENV)/sanafe/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) sanafe==2.2.9
	echo $(abspath $(VENV))/sanafe/bin/python > $@

$(VENV)/.installed-node: | $(BIN)/python
	if command -v npm > /dev/null && npm install --silent --no-audit --no-fund --ignore-scripts \
		--prefix $(VENV)/node onnxruntime-node@1.30.0; \
	then echo $(abspath $(VENV))/node/node_modules > $@; else : > $@; fi

clean:
	rm -rf demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis campaign-findings
	find delaytool tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
