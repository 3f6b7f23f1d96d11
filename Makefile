# `make help` lists the targets. Recipes are one word each where they can be: what they do is in scripts/ and src/.
.DEFAULT_GOAL := help
.PHONY: help setup up test check bench soak firmware firmware-image firmware-test firmware-size coverage lock messages screenshot

python := .venv/bin/python
# uv's own: resolve for every platform at once, and write neither addresses nor comments.
lock := $(python) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 23

setup: ## install what running needs (make up does it by itself)
	@scripts/setup run

up: ## run the platform until Ctrl-C; options as in make up ARGS="--no-demo"
	@scripts/setup run
	@exec ./tds up $(ARGS)

# Three at a time: tests wait for processes more than they compute. In their order: files of few and long tests come first,
# so that none of them is what the end waits for.
test: ## set-up, lint, types, and all tests on a real broker, database and browser
	@scripts/setup test
	@$(MAKE) --no-print-directory check
	@scripts/firmware test
	$(python) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: ## lint, format, types, import rules
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	PYTHONPATH=src $(python) -c 'from importlinter.cli import lint_imports_command as run; run()'

bench: ## the measurements that README quotes
	@scripts/setup test
	PYTHONPATH=src $(python) -m bench $(ARGS)

soak: ## the tests that run for long
	@scripts/setup test
	$(python) -m pytest -m soak $(ARGS)

firmware: ## the device families as programs, in firmware/build/host
	@scripts/setup firmware
	@scripts/firmware build

firmware-image: ## an image to update devices to; as in make firmware-image VERSION=1.1.0, or HELP=1
	@scripts/setup firmware
	@scripts/firmware image $(if $(HELP),--help,$(VERSION) $(if $(FAMILY),--family $(FAMILY)) \
		$(if $(FAULT),--fault $(FAULT)) $(if $(COUNTER),--counter $(COUNTER)))

firmware-test: ## the device code under sanitizers, a static analyser and, for seconds, a fuzzer
	@scripts/setup firmware
	@scripts/firmware test

firmware-size: ## code and memory of the device code by module
	@scripts/setup firmware
	@scripts/firmware size

coverage: ## branches of the device core that its tests take; fails below 95 %
	@scripts/setup firmware
	@scripts/firmware coverage

lock: ## requirements/*.txt from requirements/*.in, package-lock.json from package.json
	@scripts/setup test
	$(lock) requirements/run.in -o requirements/run.txt
	$(lock) requirements/test.in -o requirements/test.txt
	$(lock) requirements/npm.in -o requirements/npm.txt
	PATH="$$PATH:$(CURDIR)/.venv/bin" npm install --package-lock-only --ignore-scripts --no-audit --no-fund
	$(python) scripts/clean_package_lock.py

messages: ## collect what pages say into src/tds/locale, and compile it
	@scripts/setup run
	cd src/tds && ../../$(python) ../../manage.py makemessages --locale pt_BR --no-location --no-obsolete --no-wrap
	@scripts/setup run

screenshot: ## README's picture, of the real page
	@scripts/setup test
	PYTHONPATH=src:. $(python) scripts/screenshot.py
