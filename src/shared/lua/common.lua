-- The beginning of every script. Times are microseconds of the store's clock. ARGV: 1 the arguments, as JSON.
local arguments = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A number as text with all its digits; Lua's own conversion keeps only fourteen.
local function text(number)
  return string.format('%.0f', number)
end

-- A stored number. Anything else, or a number above `most`, is 0.
local function number(stored, most)
  local value = tonumber(stored or '')
  if value == nil or value ~= value or value < 0 or value > most then
    return 0
  end
  return math.floor(value)
end

-- The highest valid turn or mark: after the clock was set back, turns and marks may be up to an hour ahead of it.
local latest = now + 3600 * 1000000

-- An answer that a replica of this version understands.
local function answer(kind, ...)
  return { 'balance-gateway/1', text(now), kind, ... }
end
