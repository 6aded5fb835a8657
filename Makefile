# The front door. Each target installs the Debian packages that it needs and does not find (with sudo when not root),
# and says so. CI=true, which CI systems set, turns what would be skipped into a failure.

# Of the built programs: dev is quick to build, release quick to run.
PROFILE ?= dev
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 30
# Where `make install` installs.
PREFIX ?= /usr

# What rustc needs to build the workspace: Nettle, libclang, which reads Nettle's headers, and xz.
BUILD_NEEDS := gcc libc6-dev libclang-dev liblzma-dev nettle-dev pkg-config
# Tokens, and the judges of signatures.
DEMO_NEEDS := $(BUILD_NEEDS) gnupg rpm softhsm2
# In gpg's place, chancery-gpg is called by all of these.
CALLERS := apt-utils createrepo-c debsig-verify debsigs devscripts dpkg-dev git openssh-client reprepro
# What builds kernel modules, and judges them.
MODULES := dkms kmod linux-headers-amd64 make xz-utils zstd
# What signs PE images, what judges them, and images to sign.
IMAGES := binutils dracut-core efitools libnss3-tools nsis-common osslsigncode pesign python3-distlib sbsigntool \
	shim-helpers-amd64-signed shim-unsigned systemd-boot-efi
TEST_NEEDS := $(DEMO_NEEDS) $(CALLERS) $(MODULES) $(IMAGES) bsdutils cryptsetup-bin fsverity gnutls-bin gpgv groff-base mount opensc openssl p11-kit p11-kit-modules procps sqv strace time util-linux xxd
# A kernel, and a machine to boot it in.
KERNEL_NEEDS := $(BUILD_NEEDS) bc bison busybox-static cpio cryptsetup-bin e2fsprogs flex fsverity keyutils libelf-dev libssl-dev \
	linux-source-6.1 make openssl qemu-system-x86 softhsm2 xxd xz-utils
# Firmware with Secure Boot, and what makes programs for it.
EFI_NEEDS := $(BUILD_NEEDS) binutils busybox-static cpio gnu-efi mtools openssl ovmf qemu-system-x86 shim-unsigned \
	softhsm2 systemd-boot-efi
# libFuzzer is C++; systemd judges its units.
CHECK_NEEDS := $(BUILD_NEEDS) g++ git shellcheck systemd

TARGET := $(or $(CARGO_TARGET_DIR),target)
# dev's programs stand in debug/.
export CHANCERY_PROFILE := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
export PATH := $(abspath $(TARGET)/tools/bin):$(PATH)
# Real packages for the tests of formats.
export CHANCERY_SAMPLES ?= $(CURDIR)/tests/samples
# Debian's kernels and shim, which tests/images/fetch.sh puts there.
export CHANCERY_IMAGES ?= $(abspath $(TARGET)/images)
# In CI the lock file is law, and the container suite follows: its features are built once, for both.
ifdef CI
LOCKED := --locked
CONTAINER := --features container
endif
CARGO_BUILD := $(LOCKED) --profile $(PROFILE)
NEXTEST := cargo nextest run --workspace $(LOCKED) --cargo-profile $(PROFILE)

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-16s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: ## Sign real packages with keys in a SoftHSM token, and let rpm, gpg and the audit trail judge
	scripts/apt.sh $(DEMO_NEEDS)
	cargo build $(CARGO_BUILD) -p chanceryd -p chancery -p chancery-softhsm
	scripts/demo.sh

.PHONY: sandbox
sandbox: ## Start a daemon to play with, on a SoftHSM token under target/sandbox
	scripts/apt.sh $(DEMO_NEEDS)
	cargo build $(CARGO_BUILD) -p chanceryd -p chancery -p chancery-softhsm
	scripts/sandbox.sh start

.PHONY: sandbox-stop
sandbox-stop: ## Stop it; its keys stay
	scripts/sandbox.sh stop

.PHONY: test
test: nextest ## Run every test that needs no container
	scripts/apt.sh $(TEST_NEEDS)
	tests/images/fetch.sh $(CHANCERY_IMAGES)
	cargo build $(CARGO_BUILD) --workspace --bins $(CONTAINER)
	$(NEXTEST) $(CONTAINER)
	cargo test $(CARGO_BUILD) --workspace --doc $(CONTAINER)

.PHONY: test-container
test-container: nextest ## Run the container suite: systemd, journal, sandbox and other users, for real
	scripts/apt.sh $(BUILD_NEEDS)
	cargo build $(CARGO_BUILD) --workspace --bins --features container
	scripts/with-engine.sh $(NEXTEST) --features container --profile container

.PHONY: test-kernel
test-kernel: ## Build a kernel that refuses what is not signed, and boot it; at most 25 minutes
	scripts/apt.sh $(KERNEL_NEEDS)
	cargo build $(CARGO_BUILD) --workspace --bins $(CONTAINER)
	timeout --kill-after=30 25m tests/kernel/run.sh

.PHONY: test-efi
test-efi: nextest ## Boot firmware with Secure Boot, and a kernel, with keys of our own; a minute, when all is built
	scripts/apt.sh $(EFI_NEEDS)
	tests/images/fetch.sh $(CHANCERY_IMAGES)
	cargo build $(CARGO_BUILD) --workspace --bins $(CONTAINER)
	$(NEXTEST) $(CONTAINER) --profile efi

.PHONY: check
check: check-scripts check-code check-deny check-fuzz ## Check everything that can be checked without running it

# Cheap things first.
.PHONY: check-scripts
check-scripts:
	scripts/apt.sh $(CHECK_NEEDS)
	shellcheck --severity=warning .ci/run $$(find . -name target -prune -o -name '*.sh' -print)
	systemd/check.sh

.PHONY: check-code
check-code:
	scripts/apt.sh $(BUILD_NEEDS)
	cargo clippy --version >/dev/null 2>&1 || rustup component add clippy rustfmt
	cargo fmt --all --check
	scripts/check-directions.sh
	cargo clippy $(CARGO_BUILD) --workspace --all-targets --all-features -- -D warnings
	cargo build $(CARGO_BUILD) --workspace --bins $(CONTAINER)
	scripts/check-man.sh
	[ ! -x docs/check.sh ] || docs/check.sh

.PHONY: check-deny
check-deny:
	scripts/cargo-tool.sh deny 0.20.2
	scripts/check-deny.sh

.PHONY: check-fuzz
check-fuzz:
	scripts/apt.sh $(BUILD_NEEDS) g++
	fuzz/fuzz.sh build

.PHONY: fuzz
fuzz: ## Fuzz every decoder, FUZZ_SECONDS (30) each
	scripts/apt.sh $(BUILD_NEEDS) g++
	fuzz/fuzz.sh run $(FUZZ_SECONDS)

.PHONY: bench
bench: ## Measure the daemon against a program that calls the token directly
	scripts/apt.sh $(DEMO_NEEDS) openssl
	cargo build --release $(LOCKED) --workspace --bins
	$(TARGET)/release/bench

.PHONY: install
install: ## Install programs, man pages and units; DESTDIR and PREFIX are honoured
	scripts/apt.sh $(BUILD_NEEDS)
	cargo build --release $(LOCKED) -p chanceryd -p chancery
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(TARGET)/release/chanceryd
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(TARGET)/release/chancery
	scripts/link-stand-ins.sh $(DESTDIR)$(PREFIX)/bin
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/rpm/macros.d agent-cli/macros/macros.chancery
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/*.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 daemon/man/*.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 daemon/man/*.8
	systemd/install.sh $(DESTDIR)
	@echo "next: systemctl daemon-reload; systemd/README.md tells how to configure and start it"

.PHONY: clean-state
clean-state: ## Stop the sandbox; forget its token, the demo's, the tests' prepared ones, and the kernel under test
	scripts/sandbox.sh stop
	rm -rf $(TARGET)/sandbox $(TARGET)/demo $(TARGET)/softhsm-templates $(TARGET)/kernel

.PHONY: nextest
nextest:
	scripts/apt.sh $(BUILD_NEEDS)
	scripts/cargo-tool.sh nextest 0.9.143 --no-default-features --features default-no-update
