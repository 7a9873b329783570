# Nobody hears us until the mail's time has passed: the sender is told.
sites    hq field
weather  calm
seed     11
lifetime 2h

field  station off 5h
wait   1s
field  station emcon on
hq     mail from=boss@hq.test to=watch@field.test "Too late"
then   within 3h   hq has report failed for watch@field.test
then   within 10m  everything is delivered
then   hq shows "expired"
