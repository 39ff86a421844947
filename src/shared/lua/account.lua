-- What the scripts of an account share. KEYS: 1 its state, 2 its calls.
local state, calls = KEYS[1], KEYS[2]

-- The epoch and when it began, if nothing of the account was lost since: the log of the calls holds it, too.
local function epoch()
  local known = redis.call('HGET', state, 'epoch')
  local logged = redis.call('ZRANGE', calls, -1, -1)[1]
  if known and logged == 'epoch ' .. known then
    local began = number(string.match(known, ' (%d+)$'), now)
    if began > 0 then
      return known, began
    end
  end
  return nil
end

-- Begins an epoch; the calls that are there count on.
local function begin_epoch(id)
  local known = id .. ' ' .. text(now)
  redis.call('ZREMRANGEBYSCORE', calls, '+inf', '+inf')
  redis.call('ZADD', calls, '+inf', 'epoch ' .. known)
  redis.call('HSET', state, 'epoch', known)
  return known, now
end

local function keep(life)
  redis.call('PEXPIRE', state, life)
  redis.call('PEXPIRE', calls, life)
end

-- Takes a call out of the budget. `budget`: began, requests, share (of whoever asks), span (how long the call
-- counts at most), per, epoch (to begin where the log is none of ours), own (calls of the replica that asks), own_share (while a new epoch settles), call (its name).
-- Returns nil, or after how long it is worth asking again; and how many calls count.
local function take(budget)
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', text(now))
  redis.call('ZREMRANGEBYSCORE', calls, text(now + 2 * budget.span), '(+inf')
  local count = redis.call('ZCARD', calls) - 1
  -- Many times what may ever leave, also while each replica has its share: somebody else writes here.
  if count > 100 * budget.requests + 1000 then
    redis.call('DEL', calls)
    local _, began = begin_epoch(budget.epoch)
    budget.began, count = began, 0
  end
  local is_settling = now - budget.began < budget.per
  local is_free = count < budget.share
  if is_settling then
    is_free = budget.own < budget.own_share
  end
  if is_free then
    redis.call('ZADD', calls, text(now + budget.span), budget.call)
    return nil, count + 1
  end
  local place = math.max(count - budget.share, 0)
  local ends = number(redis.call('ZRANGE', calls, place, place, 'WITHSCORES')[2], now + 2 * budget.span)
  local wait = math.max(ends - now, 1)
  if is_settling then
    wait = math.min(wait, budget.began + budget.per - now)
  end
  return wait, count
end

-- What a provider can have answered: anything else was written by somebody else.
local failures = {
  unreachable = true, timeout = true, throttled = true, unavailable = true, status = true, refused = true,
  invalid = true, too_large = true,
}

-- Whether a stored failure is one of ours; what is none is deleted.
local function is_failure(field, failure)
  if failures[string.match(failure or '', '^[a-z_]+')] then
    return true
  end
  redis.call('HDEL', state, field)
  return false
end

-- A call has ended: it counts for `per` from now on.
local function ended(call, per)
  if call ~= '' then
    redis.call('ZADD', calls, 'XX', text(now + per), call)
  end
end
