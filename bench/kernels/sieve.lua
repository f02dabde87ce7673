-- How many primes there are below n, by the sieve of Eratosthenes, a byte a number.
return function(composite, n)
  local count = 0
  for i = 0, n - 1 do
    composite[i] = 0
  end
  for i = 2, n - 1 do
    if composite[i] == 0 then
      count = count + 1
      for k = i * i, n - 1, i do
        composite[k] = 1
      end
    end
  end
  return count
end
