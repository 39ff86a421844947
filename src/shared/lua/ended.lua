-- A call has ended. KEYS: 1 the account's state, 2 its calls. ARGV: 1 call, 2 per.
ended(ARGV[1], tonumber(ARGV[2]))
return answer('ended')
