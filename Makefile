# Centralino: every command a person needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
INVENTORY ?= inventories/lab
venv := .venv/.complete
tests := .venv/.tests
python := .venv/bin/python
# They wait for processes, tasks and clocks: two cores carry four of them. A file's tests stay together: they share what is
# slow to start, and some share the names of their containers.
parallel := -n 4 --dist loadfile
# What a busy machine broke, of the tests that wait for other processes, is asked once more, and told of with its reason.
once_more := --reruns 1 --reruns-delay 5 --rerun-show-tracebacks
# By itself: Chromium breaks off what it has under way when a container's address is added to the machine. Asked once more
# as a whole: each test goes on where the one before it stopped.
containers := tests/contract/lab/test_podman.py

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ run
.PHONY: up down clean status
up: $(venv) ## stand up the lab cluster, from nothing to a ringing call
	@scripts/up

down: ## stop the lab cluster; `make up` goes on where it was
	@scripts/down

clean: ## remove every trace of the lab: guests, images, network, state, secrets, .venv
	@scripts/clean

status: ## tell what runs
	@scripts/status

.PHONY: plan
plan: $(venv) ## show what the provisioner would do to INVENTORY's cluster
	@$(python) -m proxmox plan -i $(INVENTORY) || [ $$? -eq 2 ] # something to do is no error

##@ check
.PHONY: test lint unit contract roles e2e audit bench
test: $(tests) ## everything: lint, unit, contract, every role in its container, end to end
	@scripts/test

lint: $(venv) ## ruff, mypy, ansible-lint, yamllint, the inventories' syntax
	@scripts/lint

unit: $(tests) ## fast tests of pure code and of every template
	@$(python) -m pytest $(parallel) tests/unit

contract: $(tests) ## the parts against each other and against the Proxmox API's schema
	@$(python) -m pytest $(parallel) $(once_more) tests/contract --ignore $(containers)
	@$(python) -m pytest $(containers) || { echo "RERUN $(containers)"; $(python) -m pytest $(containers); }

roles: $(venv) ## every role in its container (ROLES="nginx pki" for some)
	@$(python) -m lab up
	@scripts/molecule $(ROLES)

e2e: $(venv) ## phones, calls and browsers against the running lab
	@$(python) -m pytest $(once_more) tests/e2e

audit: $(venv) ## look at the running lab cluster from outside: ports, hardening, TLS, SSH, SIP
	@$(python) -m lab.audit --inventory $(INVENTORY)

bench: $(venv) ## print the benchmarks' figures; never fails on a slow machine
	@scripts/bench

##@ develop
.PHONY: setup asterisk lock screenshots
screenshots: $(venv) ## take the documentation's pictures of the panel from the running lab
	@CENTRALINO_SCREENSHOTS=docs/images $(python) -m pytest tests/e2e -k its_tenant_alone

setup: $(venv) ## install what development needs and the pre-commit hooks
	@.venv/bin/pre-commit install

asterisk: $(venv) ## build Asterisk's packages into the cache folder
	@packages/asterisk/build

lock: $(venv) ## update every pinned dependency
	@scripts/lock

$(venv): requirements.txt pyproject.toml scripts/toolchain
	@scripts/toolchain

# The tests run these programs themselves: PostgreSQL, nft, openssl, openvpn.
$(tests): $(venv)
	@scripts/toolchain nftables openssl openvpn postgresql
	@touch $@
