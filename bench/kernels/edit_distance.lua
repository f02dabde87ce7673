-- Levenshtein's distance between two strings of bytes, by one row of the table.
return function(row, s, m, t, n)
  for j = 0, n do
    row[j] = j
  end
  for i = 1, m do
    local diagonal = row[0]
    row[0] = i
    for j = 1, n do
      local best = diagonal
      if s[i - 1] ~= t[j - 1] then
        best = best + 1
      end
      diagonal = row[j]
      best = math.min(diagonal + 1, best)
      best = math.min(row[j - 1] + 1, best)
      row[j] = best
    end
  end
  return row[n]
end
