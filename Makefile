# Two commands matter: `make demo` shows what Carillon does, `make test` says whether the tree is good.
# Both install what is missing (scripts/). The rest are the parts of `make test`, for the hand.

NEXTEST = scripts/nextest.sh --workspace --locked

.PHONY: help demo test fmt lint docs rust unit store it compat

help:                    ## what can be made
	@sed -n 's/^\([a-z]*\): .*## /  make \1	/p; s/^\([a-z]*\):  *## /  make \1	/p' Makefile | expand -t 16

demo:                    ## an incoming call rings an iPhone and an Android phone (ARGS=--once ends by itself)
	@scripts/cargo.sh build --locked --package carillon --bin carillon
	@scripts/cargo.sh run --quiet --locked --package carillon --bin carillon -- demo $(ARGS)

test:                    ## everything: format, lints, docs, Rust tests on both databases, official clients
	@scripts/test.sh fmt lint docs rust compat

fmt:                     ## the format of the Rust code
	@scripts/cargo.sh fmt --all --check

lint:                    ## clippy, warnings denied
	@scripts/cargo.sh clippy --workspace --all-targets --locked -- -D warnings

docs:                    ## the documentation of every crate builds without a warning
	@RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" scripts/cargo.sh doc --workspace --no-deps --document-private-items --locked --quiet

rust:                    ## every Rust test, the store's story on SQLite and on PostgreSQL
	@scripts/with-postgres.sh $(NEXTEST)

unit:                    ## only the tests beside the code
	@$(NEXTEST) --lib --bins

store:                   ## only the store's story, on SQLite and on PostgreSQL
	@scripts/with-postgres.sh $(NEXTEST) --test story

it:                      ## only the journeys through the whole server, and the tidy test
	@$(NEXTEST) --test it --test tidy


compat:                  ## the official SDKs, az and third-party push senders against a server (ARGS="identity az")
	@compat/run $(ARGS)
