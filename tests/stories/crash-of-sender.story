# The sender crashes in the middle of a transfer and resumes.
sites    hq field
weather  calm
seed     9

hq     mail to=watch@field.test size=10K kind=random "Half sent"
wait   30s
hq     crash for 1m
wait   90s
hq     crash after 40 outputs
then   within 1h   field has "Half sent"
then   within 10m  everything is delivered
then   field has 1 mail
