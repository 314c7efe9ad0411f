# Each target sets up what it needs in .venv; only Python (3.11 or newer) and make must be there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-lowest test-newest lint check lock messages bench setup browser clean

demo: .venv/installed
	@if [ -e demo/run/report.html ]; then echo "demo/run/report.html is there from an earlier demo; move demo away to run it again"; \
	else $(BIN)/distingo demo -o demo; fi

# Files of tests go to so many processes.
WORKERS ?= 2

test: .venv/developing browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n $(WORKERS) --dist loadfile

lint: .venv/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -m "not slow"

# The oldest and the newest versions that pyproject.toml allows of what distingo imports itself, in environments of their own.
VERSIONED_TESTS := tests/curation/test_quarantine.py tests/curation/test_quarantine_tampering.py tests/models/test_saved.py tests/models/test_description.py tests/datasets/cache/test_store.py \
	tests/runs tests/datasets/decoding/test_tiff.py tests/prediction/test_outputs.py tests/runtime/test_description.py \
	tests/runtime/test_runtime.py tests/serving/test_predict_routes.py tests/evaluation tests/test_csv_files.py tests/test_files.py
RESOLUTION_lowest := lowest-direct
RESOLUTION_newest := highest

test-lowest test-newest: test-%: .venv-%/installed
	OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -n $(WORKERS) --dist loadfile $(VERSIONED_TESTS)

.venv-%/installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet uv
	.venv-$*/bin/uv pip install --quiet --python .venv-$*/bin/python --resolution $(RESOLUTION_$*) ".[excel,export,serve]" --group versions
	.venv-$*/bin/python -m pip uninstall --quiet --yes distingo
	echo "$(CURDIR)/src" > "$$(.venv-$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/distingo.pth"
	touch $@

# What CI and `make demo` install, exactly; pins stay as they are unless LOCK="--upgrade" says otherwise.
lock:
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links $(LOCK) -o constraints.txt

# Sentences that changed come to the catalogues, and translations to the files that distingo reads.
CATALOGUES := src/distingo/messages
EXTRACT := --mapping pyproject.toml --keyword marked --keyword counted:2,3 --add-location file --sort-output --width 110

messages: .venv/developing
	PYTHONPATH=. $(BIN)/pybabel extract $(EXTRACT) --project distingo --copyright-holder distingo -o $(CATALOGUES)/distingo.pot src/distingo
	$(BIN)/pybabel update -D distingo -d $(CATALOGUES) -i $(CATALOGUES)/distingo.pot --no-fuzzy-matching --ignore-obsolete --width 110 --ignore-pot-creation-date
	$(BIN)/pybabel compile -D distingo -d $(CATALOGUES) --statistics
	rm $(CATALOGUES)/distingo.pot

bench: .venv/developing
	$(BIN)/python benchmarks/run_all.py

setup: .venv/developing

# Chrome or Chromium for the tests in a browser: Debian's is installed where this may be done; else they are skipped.
browser: .venv/developing
	@$(BIN)/python tests/browsing.py || if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get install -qq --yes chromium || { apt-get update -qq && apt-get install -qq --yes chromium; } || true; \
		$(BIN)/python tests/browsing.py || true; \
	fi

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/developing: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

clean:
	rm -rf .venv .venv-lowest .venv-newest .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
