# The filter of slow links lets words cross and nothing that comes with them: typing stays here, and costs nothing.
sites    hq field
weather  calm
seed     52
chat     filter=hf-slow

hq     types ann to bob@field.test
never  within 10m  field hears typing from ann@hq.test
hq     chat ann to bob@field.test "Only words cross"
then   within 3m   field hears "Only words cross"
field  types bob to ann@hq.test
field  chat bob to ann@hq.test "So they do"
then   within 3m   hq hears "So they do"
never  within 10m  hq hears typing from bob@field.test
