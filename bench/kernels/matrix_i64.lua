-- c = a * b, square matrices of i64, n rows of n, by indices.
return function(c, a, b, n)
  for i = 0, n - 1 do
    for j = 0, n - 1 do
      local sum = 0LL
      for k = 0, n - 1 do
        sum = sum + a[i * n + k] * b[k * n + j]
      end
      c[i * n + j] = sum
    end
  end
end
