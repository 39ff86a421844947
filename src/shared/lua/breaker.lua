-- The breaker of a provider, for what the provider answered to any replica. KEYS: 1 the breaker.
-- Arguments: event (failed, answered, balance, unknown: how an attempt ended; probe: an attempt asks to be the
-- probe; look: only reads the state; reset: closes the breaker), failures (in a row, which open it), cooldown,
-- attempt (the longest attempt), probe (the name of the attempt as a probe, or empty), channel, provider, life in
-- milliseconds.
local breaker, event, cooldown, probe = KEYS[1], arguments.event, arguments.cooldown, arguments.probe
local fields = redis.call('HMGET', breaker, 'failures', 'until', 'probe', 'probed')
local failures = number(fields[1], 1000000)
local is_open = number(fields[2], now + cooldown) > 0
local open_until = number(fields[2], now + cooldown)
local is_probing = fields[3] and number(fields[4], now) + arguments.attempt > now
local is_probe = is_open and probe ~= '' and fields[3] == probe

local function open()
  open_until, is_open = now + cooldown, true
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, 'until', text(open_until))
end

local function close()
  is_open = false
  redis.call('DEL', breaker)
end

local function tell()
  local left = is_open and math.max(open_until - now, 1) or 0
  redis.call('PUBLISH', arguments.channel, 'breaker ' .. arguments.provider .. ' ' .. text(left))
end

if event == 'probe' then
  if is_open and open_until <= now and not is_probing then
    redis.call('HSET', breaker, 'probe', probe, 'probed', text(now))
    return answer('granted')
  end
elseif event == 'failed' then
  if is_probe then
    open()
    tell()
  elseif not is_open then
    failures = failures + 1
    if failures >= arguments.failures then
      open()
      tell()
    else
      redis.call('HSET', breaker, 'failures', text(failures))
      redis.call('PUBLISH', arguments.channel, 'failing ' .. arguments.provider .. ' ' .. text(failures))
    end
  end
elseif event == 'reset' or is_probe and (event == 'answered' or event == 'balance') then
  close()
  tell()
elseif event == 'balance' and not is_open then
  close()
elseif event == 'unknown' and is_probe then
  redis.call('HDEL', breaker, 'probe', 'probed')
end
redis.call('PEXPIRE', breaker, arguments.life)
if not is_open then
  return answer('closed', text(failures))
elseif open_until > now then
  return answer('open', text(open_until - now))
end
return answer('half-open', is_probing and '1' or '0')
