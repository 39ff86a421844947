-- What cannot be understood is deleted. KEYS: whatever it is.
redis.call('DEL', unpack(KEYS))
return answer('forgotten')
