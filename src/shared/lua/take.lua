-- Takes one more call for a read that runs: a retry, or a token. KEYS: 1 the account's state, 2 its calls.
-- ARGV: 1 epoch as known, 2 epoch to begin, 3 requests, 4 share, 5 span, 6 per, 7 own calls, 8 own share, 9 call,
-- 10 life in milliseconds.
local known, began = epoch()
if not known then
  known, began = begin_epoch(ARGV[2])
end
if known ~= ARGV[1] and tonumber(ARGV[7]) > 0 then
  return answer('epoch', '', known)
end
local wait, count = take({
  epoch = ARGV[2], began = began, requests = tonumber(ARGV[3]), share = tonumber(ARGV[4]), span = tonumber(ARGV[5]),
  per = tonumber(ARGV[6]), own = tonumber(ARGV[7]), own_share = tonumber(ARGV[8]), call = ARGV[9],
})
keep(ARGV[10])
if wait then
  return answer('spent', '', text(wait), text(count))
end
return answer('taken', '', text(count), known)
