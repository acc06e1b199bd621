# The ways in. Each recipe is a line or two; CI calls the same ones.
.PHONY: demo up test check prepare chaos soak fuzz screenshots bench clean

demo: setup           ## sets up what is missing, runs an order through everything and says what happened
	@scripts/demo.sh

up: setup             ## the same set-up, and stays: addresses, keys, shops, a page with the mails
	@scripts/demo.sh --stay

test: setup           ## every Rust, PHP and end-to-end test
	@scripts/test.sh

check: setup          ## formatting, lints, documentation, licences, freshness, file sizes
	@scripts/check.sh

prepare: setup        ## .sqlx/ and docs/openapi.json anew
	@scripts/postgres.sh scripts/prepare.sh

chaos: setup          ## every misfortune by a seed, and every promise after it: CHAOS="--seed 7 --steps 200"
	@scripts/chaos.sh $(CHAOS)

soak: setup           ## what is too long for `test`: 2,000 kills, a million calls, compose and two versions for real
	@scripts/soak.sh

screenshots: setup    ## docs/images/dashboard/ anew, from the browser's own test
	@scripts/screenshots.sh

fuzz: setup           ## every door that takes bytes from outside, ten minutes each: SECONDS_EACH=600
	@scripts/fuzz.sh $(SECONDS_EACH)

bench: setup          ## comparisons, as ratios and medians
	@scripts/bench.sh

clean:
	@cargo clean

.PHONY: setup
setup:
	@scripts/setup.sh
