-- c = a * b, square matrices of f64, n rows of n.
return function(c, a, b, n)
  local row, at = 0, 0
  for _ = 1, n do
    local column = 0
    for _ = 1, n do
      local sum = 0
      local p, q = row, column
      for _ = 1, n do
        sum = sum + a[p] * b[q]
        p = p + 1
        q = q + n
      end
      c[at] = sum
      at = at + 1
      column = column + 1
    end
    row = row + n
  end
end
