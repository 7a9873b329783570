# The radio hears nothing for ten minutes in the middle of a transfer.
sites    hq field
weather  calm
seed     8

hq     mail to=watch@field.test size=10K kind=random "Through the storm"
wait   20s
radio  outage 10m
never  within 9m   field has 1 mail
then   within 30m  field has "Through the storm"
then   within 10m  everything is delivered
