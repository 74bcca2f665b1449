# The rules. `input` has the scalars by name, each candidate as [tier, cost, health, local, warm, free slots] and each scope as
# [committed, limit, hard]. `decision` is the number of a verdict.
package tollgate

import rego.v1

back_off := [10000, 20000, 40000, 80000, 160000, 300000]

tiers := [2, 0, 0, 0, 0, 1, 1, 2, 2]

decision := 1000000000 if input.covered == 1

else := 2000000000 if input.run_cost > 1000000000000

else := 3000000000 if input.run_per_minute > 25000000000

else := 4000000000 if {
	input.approved == 0
	input.finished_runs >= 20
	input.run_cost > 5000000000
	input.run_cost > input.task_type_p95 * 10
}

else := 5000000000 if {
	input.repetition == 3
	input.repetitions >= 2
}

else := 6000000000 if input.attempts >= 6

else := 7000000000 if {
	input.approved == 0
	input.repetition > 0
	input.repetition != 3
	input.repetitions >= 3
}

else := 8000000000 if {
	input.approved == 0
	input.attempts >= 2
	input.fast_failures >= 1
}

else := 9000000000 if {
	input.approved == 0
	input.streak >= 4
}

else := 10000000000 if {
	input.approved == 0
	input.streak >= 2
	input.streak_elapsed_ms > 1200000
}

else := 11000000000 if {
	input.approved == 0
	input.failed_tier == 2
	input.rejections >= 2
}

else := 12000000000 if not chosen

else := 13000000000 if over_hard

else := 14000000000 if {
	input.approved == 0
	asks_first
	over_limit
}

else := waits if waits > 0

else := chosen * 10000000

failed_long_ago := input.since_failure_ms if input.since_failure_ms > input.waited_ms

else := input.waited_ms

wait := back_off[min([input.streak, 8]) - 3] - failed_long_ago if {
	input.streak >= 3
	back_off[min([input.streak, 8]) - 3] > failed_long_ago
}

else := 0

floor := min([max([input.failed_tier, 0]) + 1, 2]) if {
	wait == 0
	failed_enough
}

else := 0

failed_enough if input.attempts >= 2

failed_enough if input.rejections >= 1

wanted := input.requested_tier if input.requested_tier >= 0

else := 2 if input.rejections > 0

else := tiers[input.task_type]

tier := wanted if wanted > floor

else := floor

lowest := tier if input.requested_tier >= 0

else := floor

chosen := input.sticky if {
	input.sticky >= 0
	candidate := input.candidates[input.sticky]
	keeps(candidate[0])
	candidate[2] == 0
	candidate[5] > 0
	candidate[1] <= input.affordable
}

else := min(ranks) % 8 if count(ranks) > 0

keeps(its) := its == tier if input.requested_tier >= 0

else := its == 2 if input.rejections > 0

else := its >= floor

# One number for each candidate, the smallest is the best: phase, readiness, hosting, cost, cache, tier, place.
ranks := [rank |
	some place, candidate in input.candidates
	candidate[2] != 2
	phase := phase_of(candidate[0], candidate[1])
	readiness := readiness_of(candidate[2], candidate[5])
	placed := ((phase * 3) + readiness) * 2 + 1 - candidate[3]
	rank := ((placed * 100000000000 + candidate[1]) * 2 + 1 - candidate[4]) * 24 + candidate[0] * 8 + place
]

phase_of(its, price) := 0 if {
	price <= input.affordable
	its >= tier
}

else := 2 - its if {
	price <= input.affordable
	input.requested_tier < 0
	its >= floor
}

else := 3 if its >= lowest

readiness_of(health, slots) := 2 if slots == 0

else := health

cost := input.candidates[chosen][1]

over_hard if {
	cost > 0
	some scope in input.scopes
	scope[0] + cost > scope[2]
}

over_limit if {
	cost > 0
	some scope in input.scopes
	scope[0] + cost > scope[1]
}

asks_first if input.priority == 0

asks_first if cost >= 5000000000

near if {
	input.priority == 0
	some scope in input.scopes
	scope[0] * 5 >= scope[1] * 4
}

waits := max([wait, 2000 - input.waited_ms]) if near

else := wait
