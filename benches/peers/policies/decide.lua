-- The rules, over locals that the way in defines: every scalar by its name, `candidates` and `scopes` as lists of tables.
-- Returns the number of a verdict.
  if covered == 1 then return 1e9 end
  if run_cost > 1000e9 then return 2e9 end
  if run_per_minute > 25e9 then return 3e9 end
  if approved == 0 and finished_runs >= 20 and run_cost > max(task_type_p95 * 10, 5e9) then return 4e9 end

  if repetition == 3 and repetitions >= 2 then return 5e9 end
  if attempts >= 6 then return 6e9 end
  if approved == 0 then
    if repetition > 0 and repetition ~= 3 and repetitions >= 3 then return 7e9 end
    if attempts >= 2 and fast_failures >= 1 then return 8e9 end
    if streak >= 4 then return 9e9 end
    if streak >= 2 and streak_elapsed_ms > 1200000 then return 10e9 end
    if failed_tier == 2 and rejections >= 2 then return 11e9 end
  end
  local wait = 0
  if streak >= 3 then wait = max(back_off[min(streak, 8) - 2] - max(since_failure_ms, waited_ms), 0) end
  local floor = 0
  if wait == 0 and (attempts >= 2 or rejections >= 1) then floor = min(max(failed_tier, 0) + 1, 2) end

  local asked = requested_tier >= 0
  local tier = requested_tier
  if not asked then
    if rejections > 0 then tier = 2 else tier = tiers[task_type + 1] end
  end
  tier = max(tier, floor)
  local chosen
  if sticky >= 0 then
    local c = candidates[sticky + 1]
    local holds
    if asked then holds = c.tier == tier
    elseif rejections > 0 then holds = c.tier == 2
    else holds = c.tier >= floor end
    if holds and c.health == 0 and c.free_slots > 0 and c.cost <= affordable then chosen = sticky end
  end
  if not chosen then
    -- One number for each candidate, the smallest is the best: phase, readiness, hosting, cost, cache, tier.
    local lowest = asked and tier or floor
    local best = 1e300
    for i = 1, 8 do
      local c = candidates[i]
      local payable = c.cost <= affordable
      local phase
      if c.health == 2 then phase = nil
      elseif payable and c.tier >= tier then phase = 0
      elseif payable and not asked and c.tier >= floor then phase = 2 - c.tier
      elseif c.tier >= lowest then phase = 3 end
      if phase then
        local readiness = c.health
        if c.free_slots == 0 then readiness = 2 end
        local rank = ((((phase * 3 + readiness) * 2 + 1 - c.is_local) * 100e9 + c.cost) * 2 + 1 - c.warm) * 3 + c.tier
        if rank < best then best = rank; chosen = i - 1 end
      end
    end
    if not chosen then return 12e9 end
  end

  local cost = candidates[chosen + 1].cost
  local over_limit, near = false, false
  for i = 1, 5 do
    local s = scopes[i]
    if cost > 0 and s.committed + cost > s.hard then return 13e9 end
    if cost > 0 and s.committed + cost > s.limit then over_limit = true end
    if s.committed * 5 >= s.limit * 4 then near = true end
  end
  if approved == 0 and (priority == 0 or cost >= 5e9) and over_limit then return 14e9 end
  if priority == 0 and near then wait = max(wait, 2000 - waited_ms) end
  if wait > 0 then return wait end
  return chosen * 1e7
