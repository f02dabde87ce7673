-- How often a word of m bytes occurs in a text of n.
return function(text, n, word, m)
  local found = 0
  for i = 0, n - m do
    local k = 0
    while k < m and text[i + k] == word[k] do
      k = k + 1
    end
    if k == m then
      found = found + 1
    end
  end
  return found
end
