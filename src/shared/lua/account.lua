-- Shared by the scripts of an account. KEYS: 1 its state, 2 its calls.
local state, calls = KEYS[1], KEYS[2]

-- The epoch and when it began; nil if the store has lost data since. The log of calls holds the epoch, too, so that the
-- loss of either key is noticed.
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

-- Begins an epoch. The logged calls still count.
local function begin_epoch()
  local known = arguments.new_epoch .. ' ' .. text(now)
  redis.call('ZREMRANGEBYSCORE', calls, '+inf', '+inf')
  redis.call('ZADD', calls, '+inf', 'epoch ' .. known)
  redis.call('HSET', state, 'epoch', known)
  return known, now
end

-- The epoch in force, from which calls may be taken. If the clock was set after the epoch began, the logged instants
-- are wrong: the epoch ends, a new one begins, and each replica writes its own calls back. Instants from before and
-- after a step cannot be compared, so the state says which epoch began because of a step. An epoch is from before the
-- step if the replica knew it before, if it did not begin because of a step, or if that was an earlier step.
-- `arguments`: doubted_since (since when the replica doubts the clock; 0 without a doubt), expected_from and
-- expected_to (the expected reading of the clock; 0 if unknown), elapsed (the time since the store last answered
-- this replica), epoch_before (the epoch that the replica knew before the doubt), new_epoch.
local function trusted_epoch()
  local known, began = epoch()
  local since = arguments.doubted_since
  if arguments.expected_to > 0 and (now < arguments.expected_from or now > arguments.expected_to) then
    since = now - arguments.elapsed
  end
  local is_doubted = since > 0
  if is_doubted and (not known or known == arguments.epoch_before
    or known ~= redis.call('HGET', state, 'stepped') or began < since) then
    redis.call('DEL', calls)
    known = nil
  end
  if not known then
    known, began = begin_epoch()
    if is_doubted then
      redis.call('HSET', state, 'stepped', known)
    end
  end
  return known, began
end

-- Both keys expire when no replica writes them for this long.
local function keep()
  redis.call('PEXPIRE', state, arguments.life)
  redis.call('PEXPIRE', calls, arguments.life)
end

-- Takes one call from the budget.
-- `arguments`: requests and per (the budget), share (how much of it this priority may use), span (how long the call
-- counts at most), own (the asking replica's calls that count), local_share (the replica's local share, which is the
-- only limit until the epoch is `per` old), cautious_for (how much longer this share is a further limit: the replica
-- has reconnected, and a fail-over may have lost calls of other replicas), call (its name).
-- Returns nil if the call is taken, else the time until it is worth asking again; and the number of calls that
-- count.
local function take(began)
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', text(now))
  redis.call('ZREMRANGEBYSCORE', calls, text(now + 2 * arguments.span), '(+inf')
  local count = redis.call('ZCARD', calls) - 1
  -- Far more calls than all replicas can make, even with their local shares: another program writes to this log.
  if count > 100 * arguments.requests + 1000 then
    redis.call('DEL', calls)
    local _
    _, began = begin_epoch()
    count = 0
  end
  local is_settling = now - began < arguments.per
  local is_free = count < arguments.share
  if is_settling then
    is_free = arguments.own < arguments.local_share
  elseif arguments.cautious_for > 0 then
    is_free = is_free and arguments.own < arguments.local_share
  end
  if is_free then
    redis.call('ZADD', calls, text(now + arguments.span), arguments.call)
    return nil, count + 1
  end
  local place = math.max(count - arguments.share, 0)
  local ends = number(redis.call('ZRANGE', calls, place, place, 'WITHSCORES')[2], now + 2 * arguments.span)
  local wait = math.max(ends - now, 1)
  if is_settling then
    wait = math.min(wait, began + arguments.per - now)
  elseif arguments.cautious_for > 0 and count < arguments.share then
    wait = math.min(wait, arguments.cautious_for)
  end
  return wait, count
end

-- The failures that a provider can cause. Any other text is from another program.
local failures = {
  unreachable = true, timeout = true, throttled = true, unavailable = true, status = true, refused = true,
  invalid = true, too_large = true,
}

-- Whether a stored failure has our format; any other text is deleted.
local function is_failure(field, failure)
  if failures[string.match(failure or '', '^[a-z_]+')] then
    return true
  end
  redis.call('HDEL', state, field)
  return false
end
