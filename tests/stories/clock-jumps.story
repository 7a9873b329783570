# Somebody sets the clocks: timers do not mind.
sites    hq field
weather  calm
seed     20

hq     mail to=watch@field.test size=5K kind=random "On time"
wait   20s
hq     clock -10m
field  clock +10m
then   within 30m  field has "On time"
then   within 10m  everything is delivered
